# SPDX-License-Identifier: Apache-2.0
#
# Programs and processes that a request starts: they catch signals as if a
# shell had started them, and httpd's own signals stay with httpd.

use strict;
use warnings FATAL => 'all';
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Httpd ();

my $httpd = WeaveTest::Httpd->new(
    script => 'programs',
    mode   => '',
    more   => "[workers]\nmode = embedded\n",
    expect => qr/fork\(\) may lead to deadlocks/,    # Python 3.12
    conf   => <<'END');
WeaveApp /worker "DIR/worker.ini"
WeaveApp / "DIR/sync.ini"
END
$httpd->write('worker.ini', $httpd->default_ini(
    "[workers]\nmode = processes\nprocesses = 1\n"));
$httpd->start;

sub decoded {
    my $res = $httpd->get(@_);
    return eval { JSON::PP->new->decode($res->body) }
        || die $res->status . ' ' . $res->body;
}

for my $at ('', '/worker') {
    my $mode = $at ? 'worker' : 'embedded';
    subtest "$mode: what programs have blocked" => sub {
        my $found = decoded("$at/masks");
        is_deeply $found->{$_}, [/masked/ ? 15 : ()], $_
            for sort keys %$found;
    };
    # httpd's signals stay with those of its threads that wait for them
    subtest "$mode: what a thread has blocked meanwhile" => sub {
        my $found = decoded("$at/threads");
        ok $at || mpm() eq 'prefork' || (grep { $_ == 15 } @{ $found->{before} }),
            'TERM is none of it';
        is_deeply $_, [$found->{before}], 'nor meanwhile' for values %{ $found->{while} };
    };
    is decoded("$at/terminate")->{status}, -15, "$mode: terminate()";
    subtest "$mode: processes that have just begun" => sub {
        my $found = decoded("$at/early");
        is_deeply $found->{statuses}, [15], 'end';
        is decoded('/worker/early')->{pid}, $found->{pid}, 'and nothing else'
            if $at;
    };
    is_deeply decoded("$at/system"), {status => 3 << 8, signal => 15},
        "$mode: what os.system() returns";
    subtest "$mode: multiprocessing, $_" => sub {
        my $found = decoded("$at/process?method=$_");
        is_deeply $found, {ended => 0, terminated => -15}, 'Process';
        $found = decoded("$at/pool?method=$_");
        is_deeply $found->{found}, [0, 1, 4, 9], 'ProcessPoolExecutor';
        ok $at || mpm() eq 'prefork' || (grep { $_ == 15 } @{ $found->{own} }),
            'TERM is still none of the thread that asked';
    } for qw(fork spawn forkserver);
}

subtest 'httpd, while its threads start programs' => sub {
    my $note = new_note();
    my @clients = map { loader($note) } 1 .. 3;
    ok $httpd->renew, 'exchanges all children' for 1 .. 2;
    ok defined $httpd->stop('WINCH'), 'ends gracefully';
    $httpd->start;
    my $count = notes($note);
    ok eventually(sub { notes($note) > $count }), 'answers again';
    ok defined $httpd->stop, 'and ends at once';
    kill TERM => @clients;
    waitpid $_, 0 for @clients;
};

# Asks for programs until it is ended. Children that end may drop a connection.
sub loader {
    my $note = shift;
    my $pid  = fork;
    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    $SIG{TERM} = sub { POSIX::_exit(0) };
    while (1) {
        eval { $httpd->get('/true', note => $note) } || sleep 0.1;
    }
}

$httpd->no_crash;
finish;
