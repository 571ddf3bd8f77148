# SPDX-License-Identifier: Apache-2.0
#
# Applications that do to their process what they should not: one request
# suffers from it, the log says why, and a successor serves.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Rogue ();
use WeaveTest::Workers;

# One child of httpd: it knows who is busy.
sub serve {
    my $limits = shift;
    my $httpd  = new_httpd(
        app     => slurp(root() . '/apps/misbehaving.wsgi'),
        workers => "processes = 2\nthreads = 2\n",
        limits  => "queue_timeout = 30\n$limits",
        conf => "WeaveApp / \"DIR/sync.ini\"\n$WeaveTest::Rogue::ONE_CHILD",
        # a second worker may say the same of its import, later
        expect => qr/WEAVE00(?:7[1-6]|8[017]|99|47|4\d)|WEAVE01(?:02|3[67])|AH1015|AH00161|filling
            |^(?:SystemExit(?:: \d)?|KeyboardInterrupt)$|$STACKS/x);
    $httpd->log->allow_crash;
    serves($httpd);
    return $httpd;
}

# first of all where a request may not take long, which none but one does
my $httpd = serve("request_timeout = 2\n");

# Asks for NAME, which costs the worker its life; the log says WANT, at error.
sub costs {
    my ($name, $status, @want) = @_;
    # pauses belong to a generation
    reloads($httpd);
    my @before = serves($httpd);
    my $log = $httpd->logged(\@want, sub {
        is $httpd->request('POST', "/$name", body => 'x')->status, $status,
            "the client gets $status";
    });
    is $httpd->get('/who')->status, 200, 'another worker serves';
    like $log, $_, 'the log says it' for @want;
    ok eventually(sub {
        my @now = workers($httpd);
        @now == 2 && grep { my $pid = $_; !grep { $_ == $pid } @before } @now;
    }), 'a successor takes its place';
    return $log;
}

subtest 'a regular expression that never ends' => sub {
    my $begin = time;
    my $log = costs('backtrack', 504, qr/WEAVE0099.*POST \/backtrack/,
        qr/File ".*app\.wsgi", line \d+ in backtrack/);
    cmp_ok time - $begin, '<', 20, 'in time';
};

# The successor comes when the test lets it.
subtest 'while its successor is on its way' => sub {
    my ($dir, $gate, $note) =
        ($httpd->dir, $httpd->dir . '/gate', new_note());
    reloads($httpd);
    serves($httpd);
    spew($gate, '');
    spew("$dir/at_import", "while os.path.exists('$gate'): time.sleep(0.01)");
    $httpd->logged(qr/WEAVE0071/, sub {
        is $httpd->get('/backtrack', note => $note)->status, 504, 'a 504' });
    for (1 .. 12) {
        my $begin = time;
        is $httpd->get('/who')->status, 200, 'the other worker serves';
        cmp_ok time - $begin, '<', 20, 'without waiting for it';
    }
    unlink "$dir/at_import", $gate;
    my ($pid) = (join ' ', notes($note, 1)) =~ /in (\d+)/;
    ok gone($pid), 'when it has come, the stuck one is killed';
};

ok defined $httpd->stop, 'httpd stops';
$httpd = serve('');

my %ends = (
    exit_at_once   => qr/WEAVE0075.*exit status 3/,
    exit_in_thread => qr/WEAVE0075.*exit status 4/,
    kill           => qr/WEAVE0075.*SIGKILL/,
    abort          => qr/WEAVE0075.*SIGABRT/,
    recurse_without_limit => qr/WEAVE0075.*SIGSEGV/,
);
for my $name (sort keys %ends) {
    subtest $name => sub { costs($name, 502, $ends{$name}) };
}

subtest 'descriptors that are not its own' => sub {
    for my $name (qw(close_all close_and_open)) {
        my $log = costs($name, 502, qr/WEAVE0102: the application has closed/);
        my $count = () = $log =~ /weave:error/g;
        cmp_ok $count, '<=', 3, 'in few words' or diag $log;
    }
};

subtest 'what costs nothing' => sub {
    reloads($httpd);
    my @before = sort { $a <=> $b } serves($httpd);
    $httpd->logged(qr/RecursionError/, sub {
        is $httpd->get('/recurse')->status, 500, 'recursion' });
    $httpd->logged(qr/MemoryError/, sub {
        is $httpd->get('/too_much')->status, 500, 'memory' });
    $httpd->logged(qr/SystemExit/, sub {
        is $httpd->get('/sys_exit')->status, 500, 'sys.exit()' });
    is $httpd->get('/fill_stderr')->body, 'filled', 'much on stderr';
    is $httpd->get('/change_folder?to=/tmp')->body, '/tmp', 'another folder';
    $httpd->logged(qr/./, sub {
        like $httpd->get('/fork_and_exit')->body, qr/^\d+ \d+$/,
            'a child that exits' });
    $httpd->logged(qr/in the child/, sub {
        like $httpd->get('/fork_and_raise')->body, qr/^\d+ \d+$/,
            'one that raises' });
    like $httpd->get('/fork_and_answer')->body, qr/^\d+$/,
        'one that goes on where its parent does';
    is $httpd->get('/who')->status, 200, 'all is as before' for 1 .. 10;
    is_deeply [sort { $a <=> $b } workers($httpd)], \@before,
        'with the same workers';
};

subtest 'TERM' => sub {
    my $pid = $httpd->get('/terminate')->body;
    ok gone($pid), 'it leaves when it has answered';
    serves($httpd);
};

subtest 'threads that do not end' => sub {
    my $pid   = $httpd->get('/for_ever')->body;
    my $begin = time;
    reloads($httpd);
    ok gone($pid), 'they do not keep the process';
    cmp_ok time - $begin, '<', 50, 'for long';
};

subtest 'a program that outlives it' => sub {
    my $note = new_note();
    my $child = $httpd->get('/outlive', note => $note)->body;
    my ($pid) = (join ' ', notes($note, 1)) =~ /in (\d+)/;
    $httpd->logged(qr/WEAVE0075.*SIGKILL/, sub { kill KILL => $pid });
    serves($httpd);
    ok kill(KILL => $child), 'does not hide its death';
};

# ---- at import ----

# what the log says; `reload` fails where that is WEAVE0080
my %imports = (
    'os._exit(3)'   => [qr/WEAVE0080.*exit status 3/],
    'sys.exit(5)'   => [qr/SystemExit: 5/, qr/WEAVE0080.*cannot be imported/],
    'sys.exit()'    => [qr/SystemExit$/m, qr/WEAVE0080.*cannot be imported/],
    'raise KeyboardInterrupt' => [qr/KeyboardInterrupt/, qr/WEAVE0080/],
    'os.kill(os.getpid(), 9)' => [qr/WEAVE0080.*SIGKILL/],
    'os.fork() or os._exit(0)' => [qr/WEAVE0082/],
    # a while later, when others are tried already
    'if os.fork() == 0: time.sleep(0.1); sys.exit(7)' => [qr/WEAVE0082/, qr/SystemExit: 7/],
    'os.chdir("/tmp")' => [qr/WEAVE0082/],
    'os.closerange(3, 256)' => [qr/WEAVE0102/, qr/WEAVE0080/],
    # more than a pipe holds
    'subprocess.run("yes filling | head -c 200000 >&2", shell=True)' => [qr/WEAVE0082/],
    'threading.Thread(target=time.sleep, args=(1000,)).start()' => [qr/WEAVE0082/],
);
my $dir = $httpd->dir;
for my $code (sort keys %imports) {
    subtest "at import: $code" => sub {
        my $before = generation($httpd);
        spew("$dir/at_import", $code);
        my @want  = @{ $imports{$code} };
        my $fails = grep { /WEAVE0080/ } @want;
        my ($exit, $text);
        my $log = $httpd->logged(\@want,
            sub { ($exit, $text) = weavectl($httpd, 'reload') });
        like $log, $_, 'the log says it' for @want;
        is $exit, $fails ? 1 : 0, 'so does weavectl' or diag $text;
        is generation($httpd) == $before, !!$fails, 'who serves';
        is $httpd->get('/who')->status, 200, 'requests are answered';
    };
}
unlink "$dir/at_import";

my $begin = time;
ok defined $httpd->stop, 'httpd stops';
cmp_ok time - $begin, '<', 20, 'in time';
finish;
