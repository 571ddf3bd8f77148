# SPDX-License-Identifier: Apache-2.0
#
# The wall clock is set, by an hour and more, in httpd, weaved and the workers:
# no wait ends with that, and none becomes longer.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

my $HOUR = 3600;
my $shim = conf_var('weave_build') . '/clock_shim.so';

# It is built for the tests: `make check` and `make test` do that.
-e $shim or plan skip_all => "there is no $shim";

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 1\nenv.LD_PRELOAD = $shim\n"
        . "env.WEAVE_TEST_CLOCK = %(here)s/clock\n",
    limits => "queue_timeout = 50\nrequest_timeout = 100\n",
    conf   => <<'END',
WeaveApp / "DIR/sync.ini"
<Location /impatient>
    WeaveSet limits.queue_timeout 4
</Location>
END
    # httpd's own, for a connection of before the step
    expect => qr/AH02646/,
);
my $clock = $httpd->dir . '/clock';
step(0);
my %preload = (
    WEAVE_TEST_CLOCK => $clock,
    LD_PRELOAD       => join ' ', grep { $_ } $ENV{LD_PRELOAD}, $shim,
);

# All processes see a clock that is AHEAD seconds ahead from now on. In place:
# they have the file mapped.
sub step {
    my $ahead = shift;
    open my $file, -e $clock ? '+<' : '>', $clock or die "$clock: $!";
    syswrite($file, pack 'q', $ahead) == 8 or die "$clock: $!";
    close $file or die "$clock: $!";
    return;
}

{
    local @ENV{ keys %preload } = values %preload;
    serves($httpd, 1);
}

# A request that the worker has until the file is there, and one behind it.
sub ask_two {
    my $path = shift;
    my ($first, $go) = hold($httpd);
    my $second = $httpd->client;
    $second->send(WeaveTest::Client::format_request('GET', $path, close => 1));
    queue_is($httpd, 1, 'a request waits');
    return ($first, $second, sub { spew($go, '') });
}

subtest 'the shim works' => sub {
    step(2 * $HOUR);
    my $begin = time;
    my ($hours) = $httpd->get('/who')->header('Date') =~ / (\d\d):\d\d:\d\d GMT/;
    ok scalar(grep { $hours == (gmtime($_ + 2 * $HOUR))[2] } $begin, time),
        'httpd lives in another hour';
    step(0);
};

for my $ahead (2 * $HOUR, -2 * $HOUR) {
    subtest "by $ahead seconds" => sub {
        my ($first, $second, $go) = ask_two('/who');
        step($ahead);
        sleep 2;    # whatever looks at a clock has looked
        $go->();
        is $first->response->status, 200, 'the request in Python is answered';
        is $second->response->status, 200, 'so is the queued one';
        step(0);
    };
    subtest "by $ahead seconds, short of time" => sub {
        my ($first, $second, $go) = ask_two('/impatient/who');
        step($ahead);
        is $second->response->status, 503, 'queue_timeout ends the wait';
        queue_is($httpd, 0, 'nobody waits');
        $go->();
        is $first->response->status, 200, 'the other one is answered';
        step(0);
    };
}

subtest 'weaved and weavectl' => sub {
    my $before = generation($httpd);
    step(-2 * $HOUR);
    ok reloads($httpd), 'a new generation comes up';
    isnt generation($httpd), $before, 'and serves';
    is $httpd->get('/who')->status, 200, 'requests';
    step(0);
};

# A child looks at the file as often as before.
subtest 'maintenance' => sub {
    is $httpd->get('/who')->status, 200, 'served';
    for my $ahead (2 * $HOUR, -2 * $HOUR) {
        step($ahead);
        for my $case (['on', 503], ['off', 200]) {
            my ($exit, $text) = weavectl($httpd, 'maintenance', $case->[0]);
            is $exit, 0, "by $ahead seconds: $case->[0]" or diag $text;
            is $httpd->get('/who')->status, $case->[1], 'holds at once';
        }
    }
    step(0);
};

ok defined $httpd->stop, 'httpd stops';

# In embedded mode a request waits for the import, by a clock of httpd's child.
for my $ahead (2 * $HOUR, -2 * $HOUR) {
    subtest "an import, by $ahead seconds" => sub {
        my $embedded = WeaveTest::Httpd->new(
            more => "[limits]\nstartup_timeout = 50\n", app => <<'END');
import os
import time

here = os.path.dirname(os.path.abspath(__file__))
os.makedirs(here + "/begun", exist_ok=True)
while not os.path.exists(here + "/go"):
    time.sleep(0.01)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
END
        local @ENV{ keys %preload } = values %preload;
        $embedded->start;
        ok eventually(sub { -e $embedded->dir . '/begun' }), 'it imports';
        my $client = $embedded->client;
        $client->send(WeaveTest::Client::format_request('GET', '/'));
        sleep 1;    # it waits
        step($ahead);
        sleep 1;    # whatever looks at a clock has looked
        spew($embedded->dir . '/go', '');
        is $client->response->status, 200, 'a request waits for the import';
        step(0);
        ok defined $embedded->stop, 'httpd stops';
        $embedded->quiet;
    };
}
finish;
