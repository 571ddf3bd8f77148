# SPDX-License-Identifier: Apache-2.0
#
# The LoadModule lines that the suites need, for whatever httpd apxs knows.

package WeaveTest::Modules;

use strict;
use warnings FATAL => 'all';
use File::Spec::Functions qw(catfile);

# In the order in which they are loaded; mod_weave comes last, as in an
# installation that adds it to a working httpd.
our @NEEDED = qw(
    authz_core authz_host authz_user authn_core authn_file auth_basic
    alias rewrite dir mime log_config env setenvif headers filter deflate
    unixd socache_shmcb ssl http2 status include version reqtimeout
);

sub ask_apxs {
    my ($apxs, $what) = @_;
    my $answer = qx($apxs -q $what);
    chomp $answer;
    return $answer;
}

sub httpd_of {
    my $apxs = shift;
    return catfile(ask_apxs($apxs, 'SBINDIR'), ask_apxs($apxs, 'PROGNAME'));
}

# Writes LoadModule lines for what is a shared object here; what the httpd
# has built in needs none.
sub write_conf {
    my ($file, %arg) = @_;
    my $apxs = $arg{apxs} || 'apxs';
    my $dir  = ask_apxs($apxs, 'LIBEXECDIR');
    my %builtin =
        map { $_ => 1 } qx(${\ httpd_of($apxs)} -l) =~ /^\s*mod_(\w+)\.c/mg;

    open my $out, '>', $file or die "$file: $!";
    for my $name ("mpm_$arg{mpm}", @NEEDED) {
        my $so = "$dir/mod_$name.so";
        next if $builtin{$name} || !-e $so;
        next if $name eq 'http2' && $arg{mpm} eq 'prefork'; # warns only
        print $out "LoadModule ${name}_module $so\n";
    }
    print $out "LoadModule weave_module $arg{weave}\n";
    close $out or die "$file: $!";
}

1;
