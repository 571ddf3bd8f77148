# SPDX-License-Identifier: Apache-2.0
#
# Apache::TestRun with a configuration of our own: nothing is inherited from
# the httpd of the machine but its modules, and every port is on loopback.

package WeaveTest::Run;

use strict;
use warnings FATAL => 'all';
use base 'Apache::TestRun';

use File::Spec::Functions qw(catfile rel2abs);
use WeaveTest::Modules ();

sub pre_configure {
    my $self = shift;
    my $opts = $self->{conf_opts};
    return if $opts->{thaw};

    $opts->{weave_mpm}  ||= 'event';
    $opts->{weave_mode} ||= 'processes';
    $opts->{weave_runtime} ||= _short_name();
    $opts->{port}       ||= 'select';
    $opts->{weave_build} = rel2abs($opts->{weave_build} || 'build');
    die "-weave_venv is needed\n" unless $opts->{weave_venv};
    $opts->{weave_venv} = rel2abs($opts->{weave_venv});

    my $file = rel2abs(catfile('t', 'conf', 'modules.conf'));
    WeaveTest::Modules::write_conf(
        $file,
        apxs  => $opts->{apxs},
        mpm   => $opts->{weave_mpm},
        weave => catfile($opts->{weave_build}, 'mod_weave.so'),
    );
    $opts->{httpd_conf} = $file;
}

# A folder for sockets, whose paths are short (unix(7)). 00start.t makes it.
sub _short_name {
    open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
    read $random, my $bytes, 5;
    return '/tmp/weave-' . unpack 'H*', $bytes;
}

# Apache::Test lets its virtual hosts listen on every address.
sub configure {
    my $self = shift;
    $self->SUPER::configure(@_);
    my $file = catfile($self->{test_config}{vars}{t_conf}, 'extra.conf');
    open my $in, '<', $file or die "$file: $!";
    my $text = do { local $/; <$in> };
    close $in;
    $text =~ s/Listen 0\.0\.0\.0:/Listen 127.0.0.1:/g;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
}

1;
