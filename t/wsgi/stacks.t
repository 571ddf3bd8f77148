# SPDX-License-Identifier: Apache-2.0
#
# Python's recursion limit counts calls: the stacks of all threads that run it
# must be as large as it takes them to be, whatever `ulimit -s` says.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();
use WeaveTest::Httpd ();

# both modes, where the wsgi suite of another Python runs in one
plan skip_all => 'it was done beside the processes' if mode() ne 'processes';

# The exceptions other than RecursionError.
sub others {
    my $found = JSON::PP->new->decode(shift);
    return 'no result' if !%$found;
    return grep { $_ !~ /RecursionError$/ }
        map { "$_: $found->{$_}" } sort keys %$found;
}

# Asks for CASE: those, or the status.
sub others_at {
    my $res = shift->get('/' . shift);
    return $res->status == 200 ? others($res->body) : $res->status;
}

# The same on a thread of mod_http2, where there is one.
sub others_http2 {
    my $httpd = shift;
    return if mpm() eq 'prefork';
    my $h2 = WeaveTest::H2->new(port => $httpd->port);
    return if !$h2->request('GET', '/small')->{status};
    my $res = $h2->request('GET', '/in_request');
    return ($res->{status} || 0) == 200 ? others($res->{body}) : 'no answer';
}

sub start {
    my ($mode, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        script => 'stacks',
        mode   => $mode,
        %arg,
        conf => <<'END');
<IfModule !mpm_prefork_module>
    Protocols h2c http/1.1
</IfModule>
WeaveApp / "DIR/sync.ini"
END
    $httpd->start;
    return $httpd;
}

my %limit = (
    'unlimited'   => '--stack=unlimited:unlimited',
    'a small one' => '--stack=1048576:',
);
for my $mode (qw(processes embedded)) {
    for my $name (sort keys %limit) {
        subtest "$mode, $name" => sub {
            my @under = ('prlimit', $limit{$name});
            plan skip_all => 'the hard limit is lower'
                if system "@under true 2>/dev/null";
            my $httpd = start($mode, under => \@under);
            is_deeply [others_at($httpd, $_)], [], $_
                for qw(at_import in_request in_thread);
            is_deeply [others_http2($httpd)], [], 'HTTP/2';
            ok defined $httpd->stop, 'httpd stops';
            $httpd->no_crash;
        };
    }
}

# configtest warns of stacks that are too small.
sub says_at_configtest {
    my ($want, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(script => 'hello', %arg);
    my ($status, $text) = $httpd->configtest;
    is $status, 0, 'configtest' or diag $text;
    return $want ? like $text, $want, 'says it'
        : unlike $text, qr/WEAVE0212/, 'says nothing';
}

subtest 'embedded, ThreadStackSize' => sub {
    plan skip_all => 'prefork has none' if mpm() eq 'prefork';
    my $conf = "WeaveApp / \"DIR/sync.ini\"\nThreadStackSize";
    says_at_configtest(qr/WEAVE0212: .*1024 KiB.*ThreadStackSize/,
        conf => "$conf 1048576\n");
    says_at_configtest(undef, conf => "$conf 8388608\n");
};

subtest 'embedded, a hard limit' => sub {
    says_at_configtest(
        mpm() eq 'prefork' ? qr/WEAVE0212: .*1024 KiB.*hard limit/ : undef,
        under => ['prlimit', '--stack=1048576:1048576']);
    says_at_configtest(undef);
};

subtest 'processes, a hard limit' => sub {
    my $httpd = WeaveTest::Httpd->new(script => 'hello', mode => 'processes',
        under => ['prlimit', '--stack=1048576:1048576']);
    my $log = $httpd->logged(qr/WEAVE0211/, sub { $httpd->start });
    like $log, qr/WEAVE0211: .*1024 KiB/, 'is said by workers';
    is $httpd->get('/')->status, 200, 'which serve';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
