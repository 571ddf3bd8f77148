# SPDX-License-Identifier: Apache-2.0
#
# A graceful restart into something that cannot be: httpd lives, whoever can
# be served is, everybody else gets 503. Each subtest names what went wrong
# before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Httpd ();
use WeaveTest::Modules ();

my $plain = "a plain file of httpd\n";
my $beside = qq(StartServers 1\nWeaveApp /app "DIR/sync.ini");

# What httpd says at an attempt is in the hands of the children, again and
# again: the tests look for what they want.
sub start {
    my (%opt) = @_;
    my $httpd = WeaveTest::Httpd->new(
        script => 'hello', conf => $beside, expect => qr/./, %opt);
    $httpd->start unless $opt{later};
    return $httpd;
}

sub graceful {
    my $httpd = shift;
    my $count = sub {
        return scalar(() = $httpd->log_text =~ /resuming normal operations/g);
    };
    my $before = $count->();
    $httpd->graceful;
    ok eventually(sub { $count->() > $before || !$httpd->running })
        && $httpd->running, 'httpd goes on';
    is $httpd->get('/plain.txt')->body, $plain, 'and serves its files';
}

sub is_503 {
    my ($httpd, $path) = @_;
    is $httpd->get($path)->status, 503, "$path: 503" for 1 .. 2;
}

sub is_hello {
    my ($httpd, $path, $name) = @_;
    is $httpd->get($path)->body, 'Hello, world!', $name for 1 .. 2;
}

sub ends {
    my $httpd = shift;
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
}

# httpd ended at the signal.
subtest 'a script that is gone' => sub {
    my $httpd = start(app => slurp(root() . '/apps/hello.wsgi'),
        script => undef);
    my $script = $httpd->dir . '/app.wsgi';
    rename $script, "$script.away" or die "$script: $!";
    graceful($httpd);
    is_503($httpd, '/app');

    my $client = $httpd->client;
    $client->send("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            . "Expect: 100-continue\r\n\r\n");
    is $client->response->status, 503,
        'a client that asks before it sends is not told to go on';
    $client->close;

    rename "$script.away", $script or die "$script: $!";
    ok eventually(sub { $httpd->get('/app')->status == 200 }, 15),
        'back again it serves, without a restart';
    ends($httpd);
};

# httpd took it for its own start, refused, and ended.
subtest 'mod_weave comes with a bad ini' => sub {
    my $httpd = start(later => 1);
    my $conf  = slurp($httpd->dir . '/httpd.conf');
    my $with  = slurp(root() . '/conf/modules.conf');
    (my $without = $with) =~ s/^LoadModule weave_module .*\n//m;
    $conf =~ s{^Include "\S*/modules\.conf"}
        {Include "${\ $httpd->dir}/modules.conf"}m;
    $conf =~ s{^Include "(\S*/common\.inc)"}
        {slurp($1) =~ s/ weave:debug//r}me;
    my ($app) = $conf =~ /^(WeaveApp .*)$/m;
    $httpd->write('httpd.conf',
        $conf =~ s{^WeaveApp .*}{<IfModule weave_module>\n$app\n</IfModule>}mr);
    $httpd->write('modules.conf', $without);
    my $ini = slurp($httpd->dir . '/sync.ini');
    $httpd->start;
    is $httpd->get('/app')->status, 404, 'without it';

    $httpd->write('modules.conf', $with);
    $httpd->write('sync.ini', "[wsgi]\nskript = x\n");
    graceful($httpd);
    is_503($httpd, '/app');
    like $httpd->log_text, qr/:error\] .*skript/, 'the log says why';
    $httpd->write('sync.ini', $ini);
    graceful($httpd);
    is_hello($httpd, '/app', 'mended it serves');
    ends($httpd);
};

# Children crashed one after the other.
subtest 'another Python comes' => sub {
    my $dir = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR');
    plan skip_all => 'no mod_wsgi here' unless -e "$dir/mod_wsgi.so";
    my $httpd = start();
    my $conf  = slurp($httpd->dir . '/httpd.conf');
    $httpd->write('httpd.conf',
        "LoadModule wsgi_module $dir/mod_wsgi.so\n$conf");
    graceful($httpd);
    is_503($httpd, '/app');
    like $httpd->log_text, qr/WEAVE0012: .*libpython/, 'the log says why';
    $httpd->write('httpd.conf', $conf);
    graceful($httpd);
    is_hello($httpd, '/app', 'without it all is well');
    ends($httpd);
};

# The file was read again by its path, and both applications were lost.
subtest 'an ini that is a symbolic link' => sub {
    my $httpd = start(later => 1);
    my $ini   = $httpd->dir . '/sync.ini';
    my $turn  = sub {
        my $target = shift;
        unlink $ini;
        symlink $target, $ini or die "$ini: $!";
    };
    rename $ini, "$ini.first" or die "$ini: $!";
    $turn->("$ini.first");
    $httpd->start;
    is_hello($httpd, '/app', 'it serves');

    my $good = slurp("$ini.first");
    unlink "$ini.first";
    graceful($httpd);
    is_hello($httpd, '/app', 'its target is deleted: it has what it had');
    $turn->($httpd->write('broken.ini', "[wsgi]\nskript = x\n"));
    graceful($httpd);
    is_hello($httpd, '/app', 'it leads to a broken file: the same');
    is scalar(() = $httpd->log_text =~ /WEAVE0013/g), 2, 'said each time';
    $turn->($httpd->write('good.ini', $good));
    graceful($httpd);
    is_hello($httpd, '/app', 'to a good one: that');
    is scalar(() = $httpd->log_text =~ /WEAVE0013/g), 2, 'with nothing to say';
    ends($httpd);
};

subtest 'a second application' => sub {
    my $httpd = start();
    my $ini   = slurp($httpd->dir . '/sync.ini');
    $httpd->write('other.ini', $ini);
    $httpd->configure("WeaveApp /another \"DIR/other.ini\"\n$beside");
    graceful($httpd);
    is_hello($httpd, '/app', 'the first one goes on');
    is_503($httpd, '/another');
    like $httpd->log_text, qr/WEAVE0011: /, 'the log says why';
    like $httpd->log_text, qr/WEAVE0013: /, 'and what that means';
    ends($httpd);
};

finish;
