# SPDX-License-Identifier: Apache-2.0
#
# weavectl maintenance: what people have stumbled over. What httpd says is
# changed in its httpd.json, so that each case needs no httpd of its own.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Encode ();
use JSON::PP ();
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Graceful ();
use WeaveTest::Maintenance;
use WeaveTest::Workers;

my $mounts = "WeaveSet maintenance.style sync\nWeaveApp /two \"DIR/two.ini\"\nWeaveApp /one \"DIR/sync.ini\"\n";
my $httpd  = two_apps($mounts, qr/WEAVE00(?:05|14|46)|WEAVE0131/,
    app => slurp(root() . '/apps/workers.wsgi') . "\n\n$GATES" . <<'END');


def held(environ):
    stands_at(query(environ)["gate"])
    return "held"
END
my $dir = $httpd->dir;
my ($one, $two) = ("$dir/sync.ini", "$dir/two.ini");
my $file = $httpd->state . '/maintenance.json';
my $user = getpwuid $<;
my $ini  = slurp($one);

sub said { return printed($httpd, @_) }

# A child of before may know another configuration: none is left.
sub restarts {
    my $httpd = shift;
    ok $httpd->renew(sub { WeaveTest::Graceful::restarts($httpd) }),
        'all children are new';
}

# The same without the -d of the httpd.
sub alone {
    my ($args, $exit, @like) = @_;
    my @command = (conf_var('weave_build') . '/weavectl', @$args);
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
        or die "weavectl: $!";
    my $text = do { local $/; <$out> };
    close $out;
    is $? >> 8, $exit, "@$args: exit $exit" or diag $text;
    like $text, $_, 'says so' for @like;
    return $text;
}

sub status_of {
    my $ini = shift;
    my ($app) = grep { $_->{ini} eq $ini } @{ status($httpd)->{applications} };
    return $app;
}

# Has CHANGE make something else of what httpd says about INI, until the next
# graceful.
sub declares {
    my ($ini, $change) = @_;
    my $path  = $httpd->runtime . '/httpd.json';
    my $state = JSON::PP->new->decode(slurp($path));
    $change->($_) for grep { $_->{ini} eq $ini } @{ $state->{applications} };
    return spew($path, JSON::PP->new->canonical->encode($state));
}

# What WeaveMaintenance in a part of it is.
sub part {
    my ($scope, $server) = @_;
    return { mode => 'on', from => 'WeaveMaintenance', where => 'httpd.conf:7',
             scope => $scope, server => $server, since => time };
}

subtest 'the order' => sub {
    my @shown = said([], 0) =~ /^(\/.*):$/mg;
    is "@shown", "$one $two", 'worker processes first';
    my ($exit, $text) = weavectl($httpd, 'status');
    my @listed = $text =~ /^(\/.*): \w+$/mg;
    is "@listed", "@shown", 'as in the status';
    @listed = map { $_->{ini} } @{ status($httpd)->{applications} };
    is "@listed", "@shown", 'and its JSON';
    my $text_of = said(['-i', $two], 0, qr/^\Q$two\E:$/m);
    unlike $text_of, qr/\Q$one\E/, 'one alone';
};

subtest 'one virtual host of two' => sub {
    declares($one, sub { $_->{declared} = [part('<VirtualHost a>', 'a')] });
    said(['-i', $one], 0,
         qr/^  maintenance: off\n    only in <VirtualHost a>: on since .*\(WeaveMaintenance On at httpd\.conf:7\)$/m);
    my $now = status_of($one)->{maintenance};
    is $now->{mode}, 'off', 'it is not on';
    is $now->{parts}[0]{scope}, '<VirtualHost a>', 'but in a part';
    said(['backoff'], 0,
         qr/^in force for \Q$one\E, only in <VirtualHost a>: on since/m);
    said(['off'], 1, qr/\Q$one\E in <VirtualHost a>: .* still holds/);
    declares($one, sub { $_->{declared} = [part('', 'a')] });
    said(['-i', $one], 0, qr/^  maintenance: on since .*, for a\)$/m);
    declares($one, sub { $_->{declared} = [] });
};

subtest 'an application that did not come up' => sub {
    declares($one, sub { $_->{failed} = JSON::PP::true });
    my $app = status_of($one);
    is $app->{state}, 'failed', 'the status says so';
    like $app->{last_error}, qr/WEAVE0014/, 'and where to look';
    my ($exit, $text) = weavectl($httpd, 'status');
    like $text, qr/^\Q$one\E: failed$/m, 'to people, too';
    said(['on', $one], 0);
    is $httpd->get('/one/who')->status, 503, 'it can be switched';
    declares($one, sub { $_->{slot} = -1 });
    said([], 0, qr/^\Q$one\E:\n  maintenance: on since/m);
    said(['off', $one], 0);
    restarts($httpd);
    ok eventually(sub { status_of($one)->{state} eq 'serving' }),
        'it is there again';

    my $three = "$dir/three.ini";
    spew($three, $ini =~ s/^virtualenv = .*/virtualenv = $dir\/none/mr);
    $httpd->configure("$mounts\nWeaveApp /three \"$three\"\n");
    restarts($httpd);
    ok eventually(sub { (status_of($three) || {state => ''})->{state} eq 'failed' }),
        'really broken';
    said(['on', $three], 0, qr/^maintenance: on for \Q$three\E/m);
    is status_of($three)->{maintenance}{mode}, 'on', 'and switched';
    said(['off', $three], 0);
    $httpd->configure($mounts);
    restarts($httpd);
    ok eventually(sub { !status_of($three) }), 'it is gone';
};

subtest 'folders' => sub {
    my $none = "$dir/none";
    for my $command (['on'], ['off'], []) {
        alone(['-s', $none, 'maintenance', @$command], 1,
              qr/\Q$none\E is not there: httpd makes it at its start.*-s/);
    }
    ok !-e $none, 'which nobody has made';
    mkdir "$dir/other", 0755 or die $!;
    my $other = "$dir/other";
    for my $command (['on'], []) {
        said(['-s', $other, @$command], 1,
             qr/\Q${\ $httpd->runtime}\E .*in \Q${\ $httpd->state}\E, not in \Q$other\E/);
    }
    is_deeply [glob "$other/*"], [], 'nothing is written there';
    my $none_known = qr/warning: no httpd is known to run with \Q$other\E: /;
    alone(['-s', $other, 'maintenance', 'on', $one], 0,
          qr/^weavectl: ${none_known}this holds from its next start on; an httpd with another WeaveStateDir is not reached$/m);
    unlike alone(['-s', $other, 'maintenance', 'on', '-W', '5s', $one], 1,
                 qr/--wait: no httpd runs/), qr/nothing is in Python/, 'nobody knows';
    alone(['-s', $other, 'maintenance', 'off', $one], 0,
          qr/${none_known}an httpd with another/);
    is $httpd->get('/one/who')->status, 200, 'and so it is';
    alone(['-d', $httpd->runtime, 'status', $one], 0,
          qr/^weaved .* in \Q${\ $httpd->runtime}\E$/m, qr/^  generation \d+: serving$/m);
    alone(['-s', $httpd->state, 'maintenance', 'on', $one], 0, qr/warning: no httpd is known/);
    is $httpd->get('/one/who')->status, 503, 'by the state folder alone, too';
    alone(['-s', $httpd->state, 'maintenance', 'off', $one], 0);
};

# --json had neither the folder nor what is set.
subtest 'a path that is no UTF-8' => sub {
    my $link = "$dir/st\xff";
    symlink $httpd->state, $link or die $!;
    said(['on'], 0);
    my ($exit, $text) = weavectl($httpd, '-s', $link, 'status', '--json');
    is $exit, 0, 'is a name of the folder';
    my $json = JSON::PP->new->decode($text);
    is $json->{state_dir}, "$dir/st\\xff", 'which is shown';
    is $_->{maintenance}{mode}, 'on', 'and what is set'
        for @{ $json->{applications} };
    said(['off'], 0);
    unlink $link;
};

subtest 'when a drain becomes on' => sub {
    said(['drain'], 0,
         qr/^maintenance: drain .* taken back, becomes on at $CLOCK$/m);
    said([], 0, qr/^  maintenance: drain .*\n    becomes on at $CLOCK$/m);
    my $now = status_of($one)->{maintenance};
    cmp_ok abs(($now->{on_at} || 0) - $now->{since} - 300), '<=', 1, 'in the JSON, too';
    unlike said(['drain', '--for', '1m'], 0), qr/becomes on/, 'never, here';
    is status_of($one)->{maintenance}{on_at}, undef, 'nor there';
    declares($two, sub { $_->{drain_s} = 60 });
    said(['drain'], 0, qr/^becomes on at $CLOCK: \Q$one\E$/m,
         qr/^becomes on at $CLOCK: \Q$two\E$/m);
    declares($two, sub { $_->{drain_s} = 0 });
    said([], 0, qr/maintenance: on, after a drain since/);
    said(['on'], 0);
    is status_of($one)->{maintenance}{on_at}, undef, 'on has none';
    said(['off'], 0);
    declares($two, sub { $_->{drain_s} = 300 });
};

subtest 'what is no Sync' => sub {
    declares($one, sub { $_->{style} = 'plain' });
    unlike said(['backoff'], 0,
        qr/notice: \Q$one\E has maintenance\.style = plain: backoff changes nothing/),
        qr/notice: \Q$two\E/, 'of the one';
    said(['drain'], 0,
         qr/notice: \Q$one\E has .* plain: everything is served until the drain/);
    unlike said(['on'], 0), qr/notice/, 'on is for all';
    is status_of($one)->{maintenance}{style}, 'plain', 'the status has it';
    is status_of($two)->{maintenance}{style}, 'sync', 'of both';
    said(['off'], 0);
};

# A request to PATH that is in Python, until its gate is opened.
sub held {
    my $path = shift;
    my $gate = gate($httpd);
    my ($client) = in_flight($httpd, 'GET', "$path/held?gate=$gate->{name}");
    is_at($gate);
    return ($client, $gate);
}

# Has somebody else open GATE in a moment.
sub opens_soon {
    my $gate = shift;
    my $pid  = fork;
    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    sleep 0.5;
    opens($gate);
    require POSIX;
    POSIX::_exit(0);
}

subtest 'until nothing is in Python' => sub {
    my ($client, $gate) = held('/one');
    said(['on', $one, '--wait', '1s'], 1, qr/^maintenance: on/m,
         qr/--wait: the time is over, still in Python: 1 /);
    is $httpd->get('/one/who')->status, 503, 'it is on all the same';
    my $pid = opens_soon($gate);
    said(['on', $one, '-W', '60s'], 0, qr/^nothing is in Python any more$/m);
    waitpid $pid, 0;
    is $client->response->status, 200, 'what ran has ended by then';
    said(['drain', $one, '-W', '1'], 1, qr/the drain becomes on only at \d/);
    declares($one, sub { $_->{drain_s} = 1 });
    said(['drain', $one, '-W', '60s'], 0, qr/^nothing is in Python/m);
    is $httpd->get('/one/who')->status, 503, 'for whose drain is longer, too';
    said(['drain', $one, '--for', '1s', '-W', '2s'], 1, qr/--wait: .*not to become on/);
    declares($one, sub { $_->{drain_s} = 300 });
    said(['on', '-W', '60s'], 0, qr/^nothing is in Python any more$/m);
    said(['off'], 0);
    ($client, $gate) = held('/two');
    said(['on', '--wait', '1s'], 1,
         qr/--wait: the time is over, still in Python: 1 /);
    is status_of($two)->{running}, 1, 'of the one that is embedded';
    said([], 0, qr/^  requests in Python: 1$/m);
    $pid = opens_soon($gate);
    said(['on', '-W', '60s'], 0, qr/^nothing is in Python any more$/m);
    waitpid $pid, 0;
    is $client->response->status, 200, 'what ran there has ended by then';
    is status_of($two)->{running}, 0, 'and is counted no more';
    said(['backoff', '-W', '5s'], 2, qr/backoff takes no --wait/);
    said(['off', '-W', '5s'], 2, qr/off takes no --wait/);
    said(['off'], 0);
};

subtest 'weaved dies while --wait waits' => sub {
    my ($client, $gate) = held('/one');
    my $weaved = status($httpd)->{pid};
    my $pid    = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        sleep 0.5;
        kill KILL => $weaved;
        eventually(sub { ((status($httpd) || {})->{pid} || $weaved) != $weaved });
        opens($gate);
        require POSIX;
        POSIX::_exit(0);
    }
    said(['on', $one, '-W', '60s'], 0, qr/^nothing is in Python any more$/m);
    waitpid $pid, 0;
    is $client->response->status, 200, 'what ran has ended by then';
    said(['off'], 0);
};

subtest 'who may not look' => sub {
    my ($run, $counters) = ($httpd->runtime, $httpd->runtime . '/counters');
    my $owner = qr/only root and the user that starts httpd may look into/;
    SKIP: {
        skip 'root may', 1 if !$>;
        chmod 0, $counters or die "$counters: $!";
        for my $command ([], ['on']) {
            unlike alone(['-d', $run, 'maintenance', @$command], 1, $owner),
                qr/no httpd/, 'and not that none runs';
        }
        my @both = ('-d', $run, '-s', $httpd->state, 'maintenance');
        alone([@both, 'on', '--for', '1h', $one], 0, qr/^maintenance: on/m,
              qr/notice: what httpd's configuration says is not known: $owner/);
        is $httpd->get('/one/who')->status, 503, 'and so it is';
        my $text = alone([@both], 1,
            qr/^maintenance\.json says: maintenance on since .*, for \Q$one\E until/m,
            qr/^weavectl: .*could not be looked at: $owner/m);
        unlike $text, qr/when httpd starts|no httpd runs/, 'nobody knows';
        alone([@both, 'off', $one], 1, qr/not known whether something else .*$owner/);
        chmod 0600, $counters or die "$counters: $!";
    }
    SKIP: {
        skip 'root may', 1 if !$>;
        # usage, folders and connections came first
        for my $command (['-d', '/usr', 'reload'], ['-d', '/usr', 'reload', qw(a b c)],
                         ['-d', '/usr', 'reload', '--message', 'x'],
                         ['-s', '/usr', 'maintenance', 'off'],
                         ['-s', '/usr', 'maintenance', 'nonsense']) {
            is alone($command, 1), "weavectl: " . ($command->[2] eq 'reload'
                ? 'reload' : 'maintenance MODE') . ' needs root or the user '
                . "that starts httpd: /usr belongs to root\n", 'and no more';
        }
        alone(['-d', '/usr', $_], 1,
              qr/\Aweavectl: $_ needs root or the user that starts httpd: \/usr belongs to root$/m)
            for qw(status maintenance);
    }
};

subtest 'help' => sub {
    my $all = qr/\Ausage: weavectl .* COMMAND .*^  reload  .*^  help  /ms;
    alone([], 2, $all);
    alone([$_], 0, $all) for qw(help --help -h);
    for my $command (qw(reload status maintenance config check help version)) {
        my @texts = map { alone($_, 0, qr/\Ausage: weavectl .* $command\b/) }
            ['help', $command], [$command, '--help'], ['--help', $command];
        is $texts[$_], $texts[0], 'the same' for 1, 2;
    }
    alone(['help', 'nothing'], 2, qr/^weavectl: there is no command nothing;/);
};

subtest 'two httpds with one folder' => sub {
    my $other = new_httpd(
        workers => "processes = 1\n",
        conf    => 'WeaveStateDir "' . $httpd->state . "\"\n"
            . "WeaveApp / \"DIR/sync.ini\"\n");
    my $theirs = $other->dir . '/sync.ini';
    $other->start;
    ok eventually(sub { workers($other) == 1 }), 'it runs';
    said(['on', $theirs], 1, qr/has no application of \Q$theirs\E/);
    is +(weavectl($other, 'maintenance', 'on', $theirs))[0], 0, 'by its own folder';
    is $other->get('/who')->status, 503, 'it is reached';
    said([], 0, qr/^when an httpd has it: maintenance on since .*, for \Q$theirs\E/m);
    like +(weavectl($other, 'maintenance'))[1], qr/^\Q$theirs\E:\n  maintenance: on/m, 'there it is its own';
    said(['backoff'], 0);
    is $other->get('/who')->status, 503, 'what is for all, is for both';
    said(['off'], 0, qr/before: on .*for \Q$theirs\E/);
    is $other->get('/who')->status, 200, 'and so is off';
    ok defined $other->stop, 'it stops';
};

subtest 'who has said it' => sub {
    local $ENV{SUDO_USER} = 'x' x 200;
    said(['on'], 0);
    my $by = status_of($one)->{maintenance}{by};
    like $by, qr/^\Q$user\E \(x+ via sudo\)\z/, 'a name that is too long is cut';
    is length $by, 127, 'to what there is room for';
    $ENV{SUDO_USER} = 'alice';
    said(['on'], 0);
    is status_of($one)->{maintenance}{by}, "$user (alice via sudo)", 'a short one';
    said(['off'], 0);
};

subtest 'config' => sub {
    spew("$dir/config.ini", <<"END");
[wsgi]
script = /app.wsgi
environ.LONG = @{[ 'x' x 60 ]}
[limits]
queue_timeout = 10000000 us
request_timeout = 1234567 us
startup_timeout = 300
spool_at = 1048576
spool_max = 1000
[workers]
env.SHORT = \xc3\xa4\xc3\xb6
END
    my $text = alone(['config', "$dir/config.ini"], 0);
    my %row = map { my ($key, @more) = split /  +/; ($key => \@more) }
        split /\n/, $text;
    my $at = sub { "$dir/config.ini:$_[0]" };
    # it was 262144, and 300 s
    is_deeply $row{"limits.$_->[0]"}, [$_->[1], $at->($_->[2])], "$_->[0] = $_->[1]"
        for ['queue_timeout', '10 s', 5], ['request_timeout', '1234567 us', 6],
            ['startup_timeout', '5 min', 7], ['spool_at', '1 MiB', 8],
            ['spool_max', '1000 B', 9];
    is_deeply $row{'limits.spool_total'}, ['512 MiB', 'default'], 'a default';
    is_deeply $row{'wsgi.environ.LONG'}, ['x' x 60, $at->(3)], 'a long value';
    my %columns;
    for my $line (split /\n/, Encode::decode('UTF-8', $text)) {
        my ($key, $value, $place) = $line =~ /^(\S+  +)(.*?  +)(\S+)\z/;
        next if length($value =~ s/ +\z//r) > 40;    # COLUMN_MOST of src/ctl/config.c
        $columns{ join ' ', length $key, length $value }++;
    }
    is scalar(keys %columns), 1, 'the columns align' or diag $text;
    my $rows = JSON::PP->new->decode(alone(['config', '--json', "$dir/config.ini"], 0));
    my %exact = map { ($_->{key} => $_->{value}) } @$rows;
    is $exact{"limits.$_->[0]"}, $_->[1], "for programs: $_->[1]"
        for ['queue_timeout', '10 s'], ['request_timeout', '1234567us'],
            ['spool_at', '1048576'], ['spool_total', '536870912'];
    # each row with such a place was missing
    mkdir "$dir/\xff" or die "$dir: $!";
    $httpd->write("\xff/config.ini", slurp("$dir/config.ini"));
    my $other = JSON::PP->new->decode(
        alone(['config', '--json', "$dir/\xff/config.ini"], 0));
    is scalar(@$other), scalar(@$rows), 'whatever the name of the folder';
};

subtest 'check, and the page' => sub {
    $httpd->write('page.html', '<p>{message}</p>');
    $httpd->write('big.html', 'x' x (256 * 1024 + 1));
    $httpd->write('secret.html', 'x');
    chmod 0, "$dir/secret.html";
    my %page = (
        'page.html'   => undef,
        'none.html'   => qr/No such file/,
        'big.html'    => qr/at most 256 KiB/,
        '.'           => qr/at most 256 KiB/,
        $> ? ('secret.html' => qr/Permission denied/) : (),
    );
    for my $name (sort keys %page) {
        my $like = $page{$name};
        spew("$dir/page.ini", "$ini\n[maintenance]\npage = $dir/$name\n");
        alone(['check', "$dir/page.ini"], $like ? 1 : 0,
              $like ? qr/page\.ini:\d+: maintenance\.page: .*$like/
                    : qr/no mistake/);
    }
};

subtest 'no httpd, and what is no INI' => sub {
    ok defined $httpd->stop, 'httpd stops';
    my $before = -e $file ? slurp($file) : '';
    $httpd->write('empty.ini', "# nothing\n");
    $httpd->write('script.wsgi', "def application(e, s):\n    pass\n");
    my @dir = ('-s', $httpd->state, 'maintenance');
    for my $case (
        ['script.wsgi' => qr/this is no sync\.ini/],
        ['empty.ini'   => qr/this is no sync\.ini: .*no \[section\]/],
        ['.'           => qr/this is no sync\.ini: /],
        ['gone.ini'    => qr/gone\.ini.*No such file/],
    ) {
        my ($name, $like) = @$case;
        alone([@dir, 'on', "$dir/$name"], 1, $like);
    }
    is -e $file ? slurp($file) : '', $before, 'nothing is written';
    spew("$dir/kept.ini", $ini);
    alone([@dir, 'on', "$dir/kept.ini"], 0);
    alone([@dir], 0, qr/^when httpd starts: maintenance on .*, for \Q$dir\E\/kept\.ini/m);
    unlink "$dir/kept.ini";
    alone([@dir, 'off', "$dir/kept.ini"], 0, qr/before: on/);
};

finish;
