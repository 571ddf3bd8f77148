# SPDX-License-Identifier: Apache-2.0
#
# The error log and those who write to it: a worker cannot harm it, nor write in
# the name of others, and nothing of what it writes is lost with weaved.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

# An httpd with the application at / and another one at /other.
sub two {
    my %arg   = @_;
    my $httpd = new_httpd(
        script  => 'logs',
        workers => "processes = 1\nthreads = 4\n",
        conf    => "WeaveApp /other \"DIR/other.ini\"\nWeaveApp / \"DIR/sync.ini\"\n"
            . ($arg{conf} || ''),
        expect  => $arg{expect});
    $httpd->write('log.sh', "#!/bin/sh\ncd '${\ $httpd->dir }'\n"
        . "echo \$\$ >logger\nexec cat >>error_log\n");
    chmod 0755, $httpd->dir . '/log.sh';
    $httpd->write('other.ini', slurp($httpd->dir . '/sync.ini'));
    $httpd->start;
    for my $path (qw(/who /other/who)) {
        ok eventually(sub { $httpd->get($path)->status == 200 }), "$path is served";
    }
    return $httpd;
}

# Lines of the worker's, as they stand in the log.
sub lines_with { return grep { /$_[1]/ } split /\n/, $_[0]->log_text }

sub has_line {
    my ($httpd, $pattern, $name) = @_;
    return ok eventually(sub { scalar lines_with($httpd, $pattern) }), $name;
}

subtest 'what a worker may write' => sub {
    my $httpd = two(expect => qr/./);
    my $pid   = $httpd->get('/who')->body;
    my $mine  = qr/^\[[^\]]+\] \[weave:error\] \[pid $pid:tid \d+\]/;
    my $app   = qr/$mine \[app \S+\/sync\.ini\]/;

    unlike $httpd->get('/descriptors')->body, qr/error_log/, 'it does not hold the log';

    my $before = length $httpd->log_text;
    is $httpd->get('/attack')->body, '', 'nor can it truncate it';
    cmp_ok length $httpd->log_text, '>=', $before, 'nothing is gone';
    my ($flags) = slurp("/proc/@{[ $httpd->pid ]}/fdinfo/2") =~ /^flags:\s*(\d+)/m;
    ok oct($flags) & 02000, 'httpd still appends';
    ok !(oct($flags) & 04000), 'and waits';

    my $date = '[Sun Nov 29 23:27:06.123456 2026]';
    my %raw  = (
        plain     => 'just words',
        ours      => "$date [core:notice] [pid 1:tid 1] AH00094: forged",
        anothers  => "$date [weave:error] [pid 1:tid 1] WEAVE0075: forged",
        escapes   => "$date [weave:error] [pid $pid:tid 1] \e]0;title\a\r\x85 own",
        no_end    => 'no end of a line',
    );
    $httpd->request('POST', '/raw', body => $raw{$_} . ($_ eq 'no_end' ? '' : "\n"))
        for qw(plain ours anothers escapes no_end);
    has_line($httpd, qr/$app just words$/, 'words get a prefix');
    has_line($httpd, qr/$app \Q$raw{ours}\E$/, 'as do lines of httpd');
    has_line($httpd, qr/$app \Q$raw{anothers}\E$/, 'and of others');
    has_line($httpd, qr/$mine \\x1b\]0;title\\x07\\x0d\\x85 own$/,
        'control characters are escaped in its own');
    has_line($httpd, qr/$app no end of a line$/, 'a line without an end comes all the same');

    $httpd->request('POST', '/raw', body => 'long ' x 20_000 . "\n");
    ok eventually(sub {
        my $long = join '', map { /sync\.ini\] ([long ]+)$/ ? $1 : () }
            lines_with($httpd, qr/ong/);
        return ($long =~ tr/l//) == 20_000;
    }), 'a long line comes in pieces';
    is scalar(grep { length > 8192 } split /\n/, $httpd->log_text), 0, 'as long as httpd\'s';

    # of a program that the application has started
    my $go = $httpd->dir . '/go';
    $httpd->get("/outlive?until=$go");
    kill KILL => $pid;
    ok gone($pid), 'the worker ends';
    spew($go, '');
    has_line($httpd, qr/$app outlived$/, 'a program of its outlives it, and writes');

    # died: its last words come first
    is $httpd->request('POST', '/segv', body => 'x')->status, 502, 'another one crashes'
        if !$ENV{ASAN_OPTIONS};
    $httpd->log->allow_crash;
    if (!$ENV{ASAN_OPTIONS}) {
        has_line($httpd, qr/WEAVE0075.*SIGSEGV/, 'that is said');
        like $httpd->log_text,
            qr/Fatal Python error: Seg.*in segv.*WEAVE0075[^\n]*SIGSEGV/s,
            'after its stacks';
    }
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'a flood' => sub {
    my $httpd = two(expect => qr/flood|tick|WEAVE0075/);
    $httpd->get('/flood');
    has_line($httpd, qr/flood/, 'is in the log');
    is $httpd->get('/other/who')->status, 200, 'another application answers' for 1 .. 40;
    is $httpd->get('/who')->status, 200, 'so does the same one';
    ok status($httpd), 'and weavectl';
    $httpd->get('/other/ticks?name=other&count=100&pause=0.001');
    has_line($httpd, qr/tick other 99$/, 'its lines come through');
    my ($worker) = workers($httpd, qr/other\.ini/);
    kill KILL => $worker;
    ok eventually(sub {
        my ($now) = workers($httpd, qr/other\.ini/);
        return $now && $now != $worker;
    }), 'a dead worker is replaced';
    ok defined $httpd->stop, 'httpd stops';
};

# The numbers of lines of NAME, in their order.
sub ticks_of {
    my ($text, $name) = @_;
    return $text =~ /\] tick $name (\d+)$/mg;
}

subtest 'weaved dies' => sub {
    my $httpd = two(expect => qr/tick|WEAVE0131/);
    my $pid   = $httpd->get('/who')->body;
    $httpd->get('/ticks?name=on&count=1500&pause=0.002');
    for my $round (1, 2) {
        my $weaved = status($httpd)->{pid};
        has_line($httpd, qr/tick on ${\ ($round * 300) }$/, 'a worker writes');
        kill KILL => $weaved;
        ok eventually(sub {
            my $now = status($httpd);
            return $now && $now->{pid} != $weaved;
        }), 'another weaved takes over';
    }
    has_line($httpd, qr/tick on 1499$/, 'the worker goes on');
    is $httpd->get('/who')->body, $pid, 'as the same process';
    my @ticks = ticks_of($httpd->log_text, 'on');
    my %seen  = map { $_ => 1 } @ticks;
    is_deeply \@ticks, [sort { $a <=> $b } keys %seen], 'in order, and each line once';
    # one may be in the hands of each weaved
    cmp_ok scalar @ticks, '>=', 1498, 'none is lost';
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'rotation' => sub {
    my $httpd = two(expect => qr/tick/);
    my $log   = $httpd->dir . '/error_log';
    $httpd->get('/ticks?name=turn&count=4000&pause=0.002');
    has_line($httpd, qr/tick turn \d+/, 'a worker writes');
    rename $log, "$log.1" or die $!;
    $httpd->graceful;
    ok eventually(sub { $httpd->log_text =~ /resuming normal operations/ }), 'a new log';
    # weaved may have it a moment after httpd has begun with it
    has_line($httpd, qr/tick turn \d+/, 'weaved has it, too');
    my $then = () = ticks_of(slurp("$log.1"), 'turn');
    has_line($httpd, qr/tick turn 3999$/, 'has all lines from then on');
    my @old = ticks_of(slurp("$log.1"), 'turn');
    is scalar @old, $then, 'the old one none';
    is_deeply [@old, ticks_of($httpd->log_text, 'turn')], [0 .. 3999], 'and none is lost';
    ok defined $httpd->stop, 'httpd stops';
};

# rotatelogs that has been stopped: httpd's children may wait, weaved does not.
subtest 'a pipe that nobody reads' => sub {
    my $httpd = two(
        expect => qr/flood|WEAVE0171|WEAVE0075/,
        conf   => "ErrorLog \"|DIR/log.sh\"\n");
    ok eventually(sub { -s $httpd->dir . '/logger' }), 'it runs';
    my ($logger) = slurp($httpd->dir . '/logger') =~ /(\d+)/;
    kill STOP => $logger;
    $httpd->get('/flood');
    my ($worker) = workers($httpd, qr/other\.ini/);
    kill KILL => $worker;
    ok eventually(sub {
        my ($now) = workers($httpd, qr/other\.ini/);
        return $now && $now != $worker;
    }), 'weavectl is answered, and a dead worker replaced';
    ok eventually(sub { $httpd->get('/other/who')->body =~ /^(?!$worker)\d/ }), 'which serves';
    ok eventually(sub { $httpd->get('/flooded')->body > 2_000 }),
        'the flood goes on, far more than can be kept';
    kill CONT => $logger;
    has_line($httpd, qr/weave:warn.* WEAVE0171: \d+ lines were dropped/, 'what is missing is counted');
    ok defined $httpd->stop, 'httpd stops';
};

finish;
