# SPDX-License-Identifier: Apache-2.0
#
# A child ends while threads are still inside Python: no crash and no hang, at
# any time; exit handlers run where Python can still be asked.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Httpd ();

# Starts httpd, gets a request into CASE, and stops it with SIGNAL.
sub stop_within {
    my ($case, $signal, %want) = @_;
    my $note  = new_note();
    my $httpd = WeaveTest::Httpd->new(
        script => 'stopping',
        more   => "[workers]\nenv.STOPPING_NOTE = $note\n",
        conf   => qq(WeaveApp / "DIR/sync.ini"\nGracefulShutdownTimeout 4\n),
        expect => $want{killed} ? qr/AH00046/ : undef,
    );
    $httpd->start;
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET', "/$case",
        close => 1));
    is_deeply [notes($note, 1)], ['in'], 'the request is inside Python';
    if ($want{answered}) {
        $client->response;
        $client->close; # or httpd lingers
    }

    $httpd->{log}->unexpected;
    my $seconds = $httpd->stop($signal, 25);
    ok defined $seconds, "$signal: httpd ends" or return;
    cmp_ok $seconds, '<', $want{within},
        sprintf 'in time: %.1f s', $seconds;
    $httpd->no_crash unless $want{killed};
    # a child that uses its whole time is reminded once by httpd
    $httpd->log->expect(qr/AH00045/);
    $httpd->quiet;
    is scalar(grep { $_ eq 'atexit' } notes($note, 2)) > 0, 1,
        'exit handlers ran'
        if $want{atexit};
    return $client;
}

# A prefork child is interrupted on the very thread that runs Python: nothing
# of Python may run there any more.
my $threaded = mpm() ne 'prefork';

# httpd kills what is still there 9 s after it asked. Requests get a part of
# that time, and Python's own end gets another.
my %stuck = (within => 9, atexit => $threaded);
my %cases = (
    idle            => {answered => 1, within => 6, atexit => 1},
    daemon_thread   => {answered => 1, within => 6, atexit => 1},
    joined_thread   => {answered => 1, within => 8, atexit => 1},
    thread_for_ever => {answered => 1, within => 9},
    in_c_for_ever   => {within => 9.5},
    map { $_ => \%stuck } qw(sleeping in_c locked looping),
);
for my $case (sort keys %cases) {
    subtest "stop, $case" => sub {
        stop_within($case, 'TERM', %{ $cases{$case} });
    };
}

subtest 'graceful-stop lets a request finish' => sub {
    my $client = stop_within('short', 'WINCH', within => 8,
        atexit => 1);
    is $client->response->body, 'done', 'and it was answered';
};

# After GracefulShutdownTimeout a child that still waits for its request gets
# httpd's KILL, whatever the request does: as without us.
subtest 'graceful-stop has an end' => sub {
    stop_within('sleeping', 'WINCH', within => 20, killed => 1);
};

finish;
