# SPDX-License-Identifier: Apache-2.0
#
# Requests that kill each worker that begins with them, now and then, among good
# ones: these are all answered.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Load ();
use WeaveTest::Workers;

# more of them than are replaced without a pause
my $POISONS = 5;

for my $processes (1, 2) {
    subtest "among $processes" => sub {
        my $httpd = new_httpd(
            workers => "processes = $processes\nthreads = 4\n",
            limits  => "queue_timeout = 60\nbackoff = 7\n",
            expect  => qr/WEAVE0075|WEAVE0250/);
        my $dead = sub { scalar(() = $httpd->log_text =~ /WEAVE0075/g) };
        serves($httpd, $processes);
        my ($answered, @failures) = (0);
        for my $count (1 .. $POISONS) {
            # which has no request of this time left when the next one comes: to
            # lose two workers by different ones is not what this is about
            my $load = WeaveTest::Load->start($httpd->port, '/sleep?s=0.02',
                clients => 2, keep_alive => 1, pause => 0.05);
            sleep 0.3;
            my $res = $httpd->get('/leave');
            is $res->status, 502, 'the poisonous one gets 502';
            is $res->header('Retry-After'), 7, 'and when to come again';
            ok eventually(sub { $dead->() == 2 * $count }),
                'it has cost two workers' or diag $dead->();
            serves($httpd, $processes);
            sleep 0.3;
            my ($more, undef, @failed) = $load->stop;
            $answered += $more;
            push @failures, @failed;
        }
        cmp_ok $answered, '>', 10, 'there was load';
        is_deeply \@failures, [], 'no good request failed';
        my $log = $httpd->log_text;
        is scalar(() = $log =~ m{WEAVE0250.*GET /leave \(request}mg), $POISONS,
            'the log says which requests those were';
        my @deaths = $log =~ /(WEAVE0075.*)/g;
        is scalar(grep { /at once/ } @deaths[0 .. 4]), 5, 'five are replaced at once'
            or diag "@deaths";
        is $dead->(), 2 * $POISONS, 'no third worker has died of one';
        ok defined $httpd->stop, 'httpd stops';
    };
}

finish;
