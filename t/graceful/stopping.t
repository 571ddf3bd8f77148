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

# Starts httpd and gets a request into CASE.
sub begins {
    my ($case, %want) = @_;
    my $note  = new_note();
    my $httpd = WeaveTest::Httpd->new(
        script => 'stopping',
        more   => "[workers]\nenv.STOPPING_NOTE = $note\n",
        conf   => qq(WeaveApp / "DIR/sync.ini"\n)
            . 'GracefulShutdownTimeout ' . ($want{timeout} || 20),
        expect => $want{killed} ? qr/AH00046/ : undef,
    );
    $httpd->start;
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET', "/$case",
        close => 1));
    my %run = (%want, httpd => $httpd, client => $client, note => $note,
        signal => $want{signal} || 'TERM');
    $run{name}   = "$run{signal}, $case";
    $run{inside} = [notes($note, 1)];
    if ($want{answered}) {
        $client->response;
        $client->close; # or httpd lingers
    }
    $httpd->log->unexpected;
    return \%run;
}

# Stops them all, and takes the time of each.
sub stops {
    my @runs = @_;
    $_->{httpd}->wait_until_idle for @runs;
    for my $run (@runs) {
        $run->{begin} = time;
        $run->{httpd}->signal($run->{signal});
        next unless $run->{finished};
        $run->{body} = $run->{client}->response->body;
        $run->{client}->close;
    }
    eventually(sub {
        for my $run (grep { !defined $_->{seconds} } @runs) {
            next if $run->{httpd}->running;
            $run->{seconds} = time - $run->{begin};
            $run->{httpd}{pid} = 0;
        }
        return !grep { !defined $_->{seconds} } @runs;
    });
}

sub is_right {
    my $run   = shift;
    my $httpd = $run->{httpd};
    my ($pid) = $run->{inside}[0] =~ /^in (\d+)$/;
    ok $pid, 'the request is inside Python';
    ok defined $run->{seconds}, 'httpd ends' or return;
    is $run->{body}, 'done', 'when the request is answered' if $run->{finished};
    cmp_ok $run->{seconds}, '<', $run->{within},
        sprintf 'in time: %.1f s', $run->{seconds};
    $httpd->no_crash unless $run->{killed};
    # a child that uses its whole time is reminded once by httpd
    $httpd->log->expect(qr/AH00045/);
    $httpd->quiet;
    is scalar(grep { $_ eq "atexit $pid" } notes($run->{note}, 2)), 1,
        'exit handlers ran in its child'
        if $run->{atexit};
}

sub all_right {
    my @runs = @_;
    stops(@runs);
    for my $run (@runs) {
        subtest $run->{name} => sub { is_right($run) };
    }
}

# A prefork child is interrupted on the very thread that runs Python: nothing
# of Python may run there any more, and elsewhere only where it has no GIL.
my $threaded = mpm() ne 'prefork';
my %waits    = map { $_ => 1 } qw(sleeping locked);

# httpd kills what is still there 9 s after it asked, which no_crash() sees.
# Requests get a part of that time, and Python's own end gets another.
my %stuck = (within => 15, atexit => $threaded);

# These do nothing but wait, and may do so at the same time.
all_right(
    # After GracefulShutdownTimeout a child that still waits for its request
    # gets httpd's KILL, whatever the request does: as without us.
    begins('sleeping', signal => 'WINCH', timeout => 1, within => 40,
        killed => 1),
    begins('thread_for_ever', answered => 1, within => 15),
    begins('in_c_for_ever', within => 15),
    map({ begins($_, %stuck, atexit => $threaded || $waits{$_}) }
        qw(sleeping in_c locked)),
);
all_right(begins('joined_thread', answered => 1, within => 9, atexit => 1));
all_right(begins('looping', %stuck));
all_right(begins($_, answered => 1, within => 8, atexit => 1))
    for qw(idle daemon_thread);

# graceful-stop lets a request finish
all_right(begins('short', signal => 'WINCH', finished => 1, timeout => 50,
    within => 40, atexit => 1));

finish;
