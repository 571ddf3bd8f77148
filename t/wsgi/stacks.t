# SPDX-License-Identifier: Apache-2.0
#
# Python's recursion limit counts calls: the stacks of all threads that run it
# must be as large as it takes them to be, whatever `ulimit -s` says.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

# both modes, where the wsgi suite of another Python runs in one
plan skip_all => 'it was done beside the processes' if mode() ne 'processes';

# The exceptions other than RecursionError, or what happened instead.
sub others {
    my ($httpd, $where) = @_;
    my $res   = $httpd->get("/$where");
    return $res->status if $res->status != 200;
    my $found = JSON::PP->new->decode($res->body);
    return grep { $_ !~ /RecursionError$/ }
        map { "$_: $found->{$_}" } sort keys %$found;
}

sub start {
    my ($mode, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        script => 'stacks',
        mode   => $mode,
        %arg,
        conf => "WeaveApp / \"DIR/sync.ini\"\n" . ($arg{conf} || ''));
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
            is_deeply [others($httpd, $_)], [], $_
                for qw(at_import in_request in_thread);
            ok defined $httpd->stop, 'httpd stops';
            $httpd->no_crash;
        };
    }
}

# What cannot be mended is said.
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
