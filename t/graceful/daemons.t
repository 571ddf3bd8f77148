# SPDX-License-Identifier: Apache-2.0
#
# Processes that an embedded application forks, and that live on: they have
# nothing of httpd's, neither what it listens on nor its clients.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();

my $filter = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR')
    . '/mod_ext_filter.so';

my $httpd = WeaveTest::Httpd->new(
    script => 'daemons',
    mode   => '',
    more   => "[workers]\nmode = embedded\n",
    conf   => (-e $filter
        ? "LoadModule ext_filter_module $filter\n" : '') . <<'END');
WeaveApp /worker "DIR/worker.ini"
WeaveApp / "DIR/sync.ini"
<IfModule ext_filter_module>
    ExtFilterDefine shout mode=output \
        cmd="/bin/sh -c 'echo by the filter >&2; exec /usr/bin/tr a-z A-Z'"
    <Location /shout>
        SetOutputFilter shout
        ExtFilterOptions LogStderr
    </Location>
</IfModule>
CustomLog "|$/bin/cat >>DIR/access_log" "%r"
END
$httpd->write('worker.ini', $httpd->default_ini(
    "[workers]\nmode = processes\nprocesses = 1\n"));

sub decoded {
    my $res = $httpd->get(@_);
    return eval { JSON::PP->new->decode($res->body) }
        || die $res->status . ' ' . $res->body;
}

# A daemon, as it sees itself: {pid, open, ...}.
my @daemons;

sub daemon_of {
    my $from = shift || '/daemon';
    my $note = new_note();
    my $res  = decoded($from, note => $note);
    my ($text) = notes($note, 1);
    my $daemon = JSON::PP->new->decode($text || '{}');
    push @daemons, $daemon->{pid} if $daemon->{pid};
    return ($daemon, $res);
}

END { kill KILL => @daemons if @daemons }

$httpd->start;
# connections of httpd's children to the worker, and of clients
my @clients = map { $httpd->client } 1 .. 8;
$_->request('GET', '/worker/pid') for @clients;
$_->request('GET', '/pid') for @clients;

subtest 'what a fork has open' => sub {
    my ($daemon, $res) = daemon_of();
    my %open = %{ $daemon->{open} || {} };
    ok $daemon->{pid}, 'it runs';
    is $daemon->{own}, 10, 'the file of the application';
    like $open{ $res->{own} }, qr/daemons\.wsgi$/, 'under its number';
    ok $daemon->{ini}, 'the sync.ini can be read';
    ok defined $open{$_}, "descriptor $_" for 0 .. 2;
    my @sockets = grep { /^socket:/ } values %open;
    is_deeply \@sockets, ["socket: [('127.0.0.1', $daemon->{socket}), None]"],
        'its own socket, and no other' or diag explain \%open;
    # of pipes and the like, those that httpd's parent has: so others have them
    my %httpds = map { (readlink || '') => 1 } glob '/proc/' . $httpd->pid . '/fd/*';
    my @others = map { "$_: $open{$_}" } grep { $_ > 2
        && ($open{$_} =~ /memfd/ || $httpds{ $open{$_} }) }
        sort { $a <=> $b } keys %open;
    is_deeply \@others, [], 'nothing of httpd';
};

subtest 'what a fork of a worker has open' => sub {
    my ($daemon) = daemon_of('/worker/daemon');
    my %open = %{ $daemon->{open} || {} };
    ok $daemon->{pid}, 'it runs';
    ok $daemon->{ini}, 'the sync.ini can be read';
    is_deeply [grep { /^socket:/ } values %open],
        ["socket: [('127.0.0.1', $daemon->{socket}), None]"], 'its own socket';
    is_deeply [grep { /memfd:weave|^anon_inode:/ } values %open], [],
        'and nothing of the worker' or diag explain \%open;
};

subtest 'what it says' => sub {
    my $log = $httpd->logged(qr/by a program/, sub {
        is decoded('/speak?words=the+fork')->{status}, 0, 'it ends well' });
    like $log, qr/weave:warn the fork printed$/m, 'print()';
    like $log, qr/weave:error the fork on stderr$/m, 'sys.stderr';
    like $log, qr/weave:(?:warn|error) the fork logged$/m, 'logging';
    like $log, qr/the fork by a program$/m, 'and what it starts';
};

subtest 'programs that inherit all' => sub {
    for my $from ('', '/worker') {
        my $found = decoded("$from/programs");
        for my $how (sort keys %$found) {
            my @more = grep { !m{ [012] -> | \d+ -> /proc/\d+/fd$} }
                @{ $found->{$how} };
            is_deeply \@more, [], "$from $how: nothing but 0, 1 and 2";
        }
    }
};

subtest 'what forkserver starts' => sub {
    my %httpds = map { (readlink || '') => 1 } map { glob "/proc/$_/fd/*" }
        $httpd->pid, $httpd->serving;
    for my $from ('', '/worker') {
        my $found = decoded("$from/forkserver");
        for my $who (sort keys %$found) {
            my @more = grep { $httpds{$_} && /^(?:socket|pipe):/ }
                @{ $found->{$who} };
            is_deeply \@more, [], "$from $who: nothing of httpd";
        }
    }
};

# The log is among what an application's fork lets go.
subtest 'what httpd forks' => sub {
    plan skip_all => 'no mod_ext_filter here' unless -e $filter;
    my $log = $httpd->logged(qr/by the filter/, sub {
        like $httpd->get('/shout/pid')->body, qr/"PID": \d+/, 'filters' });
    like $log, qr/by the filter/, 'and has the error log';
};

# "Address already in use".
subtest 'httpd stops and starts' => sub {
    my $httpd_pid = $httpd->pid;
    ok defined $httpd->stop, 'it stops';
    ok kill(0, $daemons[0]), 'the daemon goes on';
    my $output = eval { $httpd->start };
    is $@, '', 'it starts' or return;
    isnt $httpd->pid, $httpd_pid, 'anew';
    is $httpd->get('/pid')->status, 200, 'and serves';
    ok kill(0, $daemons[0]), 'the daemon goes on';
};

# The page of a running application, while somebody has broken the ini.
subtest 'a fork after the ini went bad' => sub {
    # "long lost child": the old program of the log, in each MPM's words
    $httpd->log->expect(qr/WEAVE00|long lost child/);
    $httpd->write('sync.ini', "[wsgi\n");
    ok $httpd->renew, 'graceful';
    my ($daemon) = daemon_of();
    ok $daemon->{ini}, 'the last good one can be read';
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
