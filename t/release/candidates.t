# SPDX-License-Identifier: Apache-2.0
#
# A release is tried beside the one that serves, and takes over when its link has
# been moved: no request fails, and what is of no use never takes over.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Candidates;
use WeaveTest::Graceful qw(restarts);
use WeaveTest::Load ();
use WeaveTest::Workers;

my $httpd = with_home('processes',
    limits  => "startup_timeout = 10\n",
    release => "warmup = /warm\n",
    conf    => qq(WeaveApp / "DIR/sync.ini"\nAlias /plain.txt "@{[root()]}/htdocs/plain.txt"\n),
    expect  => qr/WEAVE022[123]|WEAVE0047|WEAVE0075|$STACKS/);
my $home = $httpd->dir . '/home';
release($httpd, $_) for qw(one two three);
links($httpd, 'one');
serves($httpd);
is answers($httpd), 'one', 'the first release serves';

sub connects { return WeaveTest::Candidates->connect($httpd) }

# Nothing but what serves is left.
sub is_alone {
    my ($name, $why) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok eventually(sub { @{ app_status($httpd)->{generations} } == 1 }), "$why: nothing is left";
    is answers($httpd), $name, "$why: $name serves";
}

subtest 'a release is tried, and takes over' => sub {
    my $before = generation($httpd);
    my $load   = WeaveTest::Load->start($httpd->port, '/who', clients => 2, pause => 0.01);
    my $asker  = connects();
    my $answer = $asker->candidate('two', number => 7);
    ok $answer->{ok} && $answer->{proven}, 'it has come up' or diag explain $answer;
    is $answer->{number}, 7, 'which is the answer to that request';
    is $answer->{warmup_status}, 200, 'it was warmed up';
    like $answer->{ms}, qr/^\d+$/, 'it says how long that took';
    my ($proven) = of_state($httpd, 'proven');
    is $proven->{number}, $answer->{generation}, 'status shows it';
    ok $proven->{candidate}, 'as a candidate';
    is $proven->{release}, 'two', 'with its release';
    is $proven->{virtualenv}, "$home/releases/two", 'and its virtualenv';
    like +(weavectl($httpd, 'status'))[1],
        qr/^  generation $proven->{number}: proven, a candidate, release two$/m, 'for people, too';
    is app_status($httpd)->{generation}, $before, 'the other one serves';
    is answers($httpd), 'one', 'and answers';
    my $early = $asker->switch;
    ok !$early->{ok}, 'it does not take over before the link is moved';
    like $early->{error}, qr/link does not lead to what generation $proven->{number} is made of/, 'which is said';
    links($httpd, 'two');
    is answers($httpd), 'one', 'nor by the link alone';
    my $done = $asker->switch;
    ok $done->{ok}, 'it takes over when it is told' or diag explain $done;
    is $done->{generation}, $answer->{generation}, 'it is the same generation';
    is answers($httpd), 'two', 'it answers at once';
    is $asker->switch->{generation}, $done->{generation}, 'to say so again changes nothing';
    $asker->close;
    my ($count, undef, @failures) = $load->stop;
    cmp_ok $count, '>', 5, 'there was load';
    is scalar @failures, 0, 'and no request has failed' or diag explain \@failures;
    is_alone('two', 'afterwards');
    my $number = generation($httpd);
    restarts($httpd);
    is generation($httpd), $number, 'a graceful starts nothing: it is what httpd wants';
    my $where = JSON::PP->new->decode($httpd->get('/where')->body);
    is $where->{$_->[0]}, "$home/releases/two$_->[1]", "$_->[0] is in the release itself"
        for ['prefix', ''], ['cwd', ''], ['static', '/static'], ['file', '/app.wsgi'];
    is $where->{data}, "/data:$home/releases/two/data", 'so is a path in a variable';
    ok scalar(grep { $_ eq "$home/releases/two/more" } @{ $where->{path} }), 'and python_path';
};

subtest 'who asks ends' => sub {
    my $asker = connects();
    ok $asker->candidate('three')->{ok}, 'a release is proven';
    my @pids = map { $_->{pid} } map { @{ $_->{workers} } } of_state($httpd, 'proven');
    is scalar @pids, 2, 'with two workers';
    my $log = $httpd->logged(qr/WEAVE0222/, sub { $asker->close });
    like $log, qr/WEAVE0222: generation \d+ of \S+, a candidate, is dropped: the program that asked/, 'it is dropped';
    ok gone($_), 'a worker of it ends' for @pids;
    is_alone('two', 'the client has gone');
    $asker = connects();
    release($httpd, 'slow', import => "import time\ntime.sleep(60)\n");
    $asker->try('slow');
    ok eventually(sub { of_state($httpd, 'starting') }), 'another one starts';
    $httpd->logged(qr/WEAVE0222/, sub { $asker->close });
    is_alone('two', 'it has gone before');
};

subtest 'what is of no use' => sub {
    my @failing = (
        [import  => {import => "raise RuntimeError('no good')\n"}, qr/RuntimeError: no good/],
        [exits   => {import => "os._exit(3)\n"}, qr/ended before it was ready/],
        [crashes => {import => "os.kill(os.getpid(), 9)\n"}, qr/ended before it was ready/],
        [hangs   => {import => "import time\ntime.sleep(100)\n"}, qr/not imported within limits\.startup_timeout \(10 s\)/],
        [warm500 => {warmup => "WARM = '500 No'\n"}, qr/GET of \/warm, was answered 500; a 2xx is needed/],
        [warmdie => {warmup => "os._exit(4)\n"}, qr/release\.warmup/],
    );
    for my $case (@failing) {
        my ($name, $at, $why) = @$case;
        release($httpd, $name, %$at);
        my $asker  = connects();
        my $answer = $asker->candidate($name);
        ok !$answer->{ok}, "$name: it fails";
        like $answer->{error}, $why, "$name: with the reason";
        my $status = app_status($httpd);
        is $status->{failed_generation} > $status->{generation}, 1, "$name: status knows it";
        like $status->{last_error}, $why, "$name: and why";
        is $status->{state}, 'serving', "$name: the application serves";
    }
    is_alone('two', 'after all of them');
    my $asker = connects();
    mkdir "$home/releases/none";
    like $asker->candidate('none')->{error}, qr/no virtualenv|WEAVE0004/, 'no virtualenv: refused';
    like $asker->candidate('gone')->{error}, qr/WEAVE0004.*No such file/, 'no folder: refused';
    restarts($httpd);
    ok eventually(sub { !app_status($httpd)->{last_error} }), 'a graceful forgets it';
};

subtest 'a proven one dies' => sub {
    my $asker = connects();
    ok $asker->candidate('three')->{ok}, 'a release is proven';
    my ($pid) = map { $_->{pid} } map { @{ $_->{workers} } } of_state($httpd, 'proven');
    $httpd->logged(qr/WEAVE0221/, sub { kill KILL => $pid });
    links($httpd, 'three');
    my $answer = $asker->switch;
    ok !$answer->{ok}, 'it does not take over';
    like $answer->{error}, qr/has no candidate/, 'which is said';
    links($httpd, 'two');
    is_alone('two', 'it died');
};

subtest 'dead workers are replaced meanwhile' => sub {
    my $asker = connects();
    ok $asker->candidate('three')->{ok}, 'a release is proven';
    my ($pid) = workers($httpd);
    kill KILL => $pid;
    ok gone($pid), 'a worker that serves is killed';
    ok eventually(sub { workers($httpd) == 2 }), 'and replaced';
    is scalar(of_state($httpd, 'proven')), 1, 'the candidate is still there';
    $asker->close;
    is_alone('two', 'after that');
};

subtest 'a graceful in between' => sub {
    my $asker  = connects();
    my $answer = $asker->candidate('three');
    restarts($httpd);
    is scalar(of_state($httpd, 'proven')), 1, 'before the link is moved: it stays';
    links($httpd, 'three');
    $httpd->graceful;
    ok eventually(sub { generation($httpd) == $answer->{generation} }), 'behind it: it serves';
    is answers($httpd), 'three', 'and answers';
    is $asker->switch->{generation}, $answer->{generation}, 'the switch finds it done';
    $asker->close;
    is_alone('three', 'the client has gone');

    # what is tried would be something else by now
    $asker = connects();
    ok $asker->candidate('two')->{ok}, 'another one is proven';
    $httpd->write('sync.ini', slurp($httpd->dir . '/sync.ini') . "[other]\nkey = 1\n");
    my $log = $httpd->logged(qr/WEAVE0222/, sub { restarts($httpd) });
    like $log, qr/is dropped: httpd wants another configuration/, 'another sync.ini: it is dropped';
    ok eventually(sub { generation($httpd) > $answer->{generation} }), 'the new sync.ini serves';
    links($httpd, 'two');
    like $asker->switch->{error}, qr/has no candidate/, 'the switch fails';
    links($httpd, 'three');
    is_alone('three', 'the sync.ini has changed');
};

subtest 'taken over before it is up' => sub {
    my $go = $httpd->dir . '/go';
    release($httpd, 'waits', import => "import time\nwhile not os.path.exists('$go'):\n    time.sleep(0.02)\n");
    my $asker = connects();
    $asker->try('waits');
    ok eventually(sub { of_state($httpd, 'starting') }), 'it starts';
    links($httpd, 'waits');
    restarts($httpd);
    my $answer = $asker->hear;
    ok $answer->{ok} && !$answer->{proven}, 'who asks is told that httpd wants it';
    $asker->close;
    spew($go, '');
    ok eventually(sub { generation($httpd) == $answer->{generation} }), 'it serves when it is up';
    is_alone('waits', 'taken over');
    links($httpd, 'three');
    reloads($httpd);
    is_alone('three', 'back');
};

subtest 'two at once' => sub {
    my ($first, $second) = (connects(), connects());
    ok $first->candidate('two')->{ok}, 'one is proven';
    like $second->candidate('one')->{error}, qr/a candidate already: another weavectl/, 'a second one is refused';
    like $first->candidate('one')->{error}, qr/a candidate already/, 'from the same connection, too';
    $first->close;
    ok eventually(sub { !of_state($httpd, 'proven') }), 'the first one goes';
    ok $second->candidate('one')->{ok}, 'now there is room';
    $second->close;
    is_alone('three', 'after both');
};

subtest 'a reload in between' => sub {
    my $asker  = connects();
    my $answer = $asker->candidate('two');
    reloads($httpd);
    is scalar(of_state($httpd, 'proven')), 1, 'leaves it alone';
    links($httpd, 'two');
    is $asker->switch->{generation}, $answer->{generation}, 'an older number may take over';
    is_alone('two', 'it serves');
};

# It waited for ever for a generation that was not there any more.
subtest 'a reload that is given up' => sub {
    my $go = $httpd->dir . '/never';
    release($httpd, 'stuck', import => "import time\nwhile not os.path.exists('$go'):\n    time.sleep(0.02)\n");
    my $asker = connects();
    ok $asker->candidate('one')->{ok}, 'a release is proven';
    links($httpd, 'stuck');
    my $pid = open my $reload, '-|';
    if (!$pid) {
        my ($exit, $text) = weavectl($httpd, 'reload');
        print "$exit $text";
        require POSIX;
        close STDOUT;
        POSIX::_exit(0);
    }
    ok eventually(sub { of_state($httpd, 'starting') }), 'another one starts by a reload';
    links($httpd, 'one');
    ok $asker->switch->{ok}, 'the candidate takes over';
    my $text = do { local $/; <$reload> };
    like $text, qr/^1 .*the new generation was given up, for generation \d+ is what the links lead to/s,
        'weavectl reload ends, and says so';
    $asker->close;
    is_alone('one', 'it serves');
    links($httpd, 'two');
    reloads($httpd);
};

subtest 'what is asked wrongly' => sub {
    my $ini   = $httpd->dir . '/sync.ini';
    my @wrong = (
        [{op => 'candidate'}, qr/must be absolute paths/],
        [{op => 'candidate', app => $ini, link => 'current', leads_to => "$home/releases/one"}, qr/must be absolute paths/],
        [{op => 'candidate', app => $ini, link => "$home/current", leads_to => 7}, qr/must be absolute paths/],
        [{op => 'candidate', app => "$ini.x", link => "$home/current", leads_to => "$home/releases/one"}, qr/no such application/],
        [{op => 'candidate', app => $ini, link => "$home/current", leads_to => '/usr'}, qr{/usr is not below \Q$home\E}],
        [{op => 'candidate', app => $ini, link => "$home/current", leads_to => "$home/../../x"}, qr{is not below \Q$home\E}],
        [{op => 'candidate', app => $ini, link => "$home/current", leads_to => "$home"}, qr{is not below \Q$home\E}],
        [{op => 'candidate', app => $ini, link => '/current', leads_to => "$home/releases/one"}, qr/is not below/],
        [{op => 'candidate', app => $ini, link => "$home/current/", leads_to => "$home/releases/one"}, qr/ends with a slash|not below/],
        [{op => 'switch'}, qr/no such application/],
        [{op => 'switch', app => [1]}, qr/no such application/],
        [{op => 'candidate', version => 5}, qr/another version of mod_weave/],
    );
    for my $case (@wrong) {
        my $answer = connects()->ask(%{ $case->[0] });
        ok !$answer->{ok}, 'is refused';
        like $answer->{error}, $case->[1], 'with the reason';
    }
    symlink '/usr', "$home/out";
    like connects()->ask(op => 'candidate', app => $ini, link => "$home/current", leads_to => "$home/out")->{error},
        qr{/usr is not below}, 'a link that leaves the home, too';
    my $asker = connects();
    syswrite $asker->{socket}, "no JSON\n";
    is $asker->hear, undef, 'what is no message ends the connection';
    is_alone('two', 'after all that');
};
ok defined $httpd->stop, 'httpd stops';

subtest 'release.reload = touch' => sub {
    my $touched = with_home('processes', release => "reload = touch\n", expect => qr/WEAVE0222/);
    release($touched, $_) for qw(one two);
    links($touched, 'one');
    serves($touched);
    my $asker  = WeaveTest::Candidates->connect($touched);
    my $answer = $asker->candidate('two');
    links($touched, 'two');
    ok eventually(sub { generation($touched) == $answer->{generation} }), 'the candidate is taken over';
    is answers($touched), 'two', 'and serves';
    is $asker->switch->{generation}, $answer->{generation}, 'the switch finds it done';
    $asker->close;
    ok defined $touched->stop, 'httpd stops';
};
finish;
