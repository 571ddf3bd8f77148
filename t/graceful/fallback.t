# SPDX-License-Identifier: Apache-2.0
#
# A graceful restart into something that cannot be: httpd lives, what worked
# goes on, everything else is a 503. Each subtest names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Graceful;
use WeaveTest::Httpd ();

my $beside = 'WeaveApp /app "DIR/sync.ini"';

# Children say what they see again and again: tests look for what they want.
my $httpd = WeaveTest::Httpd->new(
    app    => slurp(root() . '/apps/hello.wsgi'),
    conf   => $beside,
    expect => qr/./,
);
my $ini = $httpd->dir . '/sync.ini';

# Makes the ini a symbolic link to TARGET.
sub turn_to {
    my $target = shift;
    unlink $ini;
    symlink $target, $ini or die "$ini: $!";
}

rename $ini, "$ini.first" or die "$ini: $!";
turn_to("$ini.first");
$httpd->start;
is_hello($httpd, '/app', 'it serves');

# A child of before might still answer as before.
sub renews {
    my %old = map { $_ => 1 } $httpd->serving;
    restarts($httpd);
    ok eventually(sub { !grep { $old{$_} } $httpd->serving }),
        'by new children only';
}

# httpd ended at the signal.
subtest 'a script that is gone' => sub {
    my $script = $httpd->dir . '/app.wsgi';
    rename $script, "$script.away" or die "$script: $!";
    renews();
    is_503($httpd, '/app');

    my $client = $httpd->client;
    $client->send("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            . "Expect: 100-continue\r\n\r\n");
    is $client->response->status, 503,
        'a client that asks before it sends is not told to go on';
    $client->close;

    rename "$script.away", $script or die "$script: $!";
    ok eventually(sub { $httpd->get('/app')->status == 200 }),
        'back again it serves, without a restart';
};

# The file was read again by its path, and both applications were lost.
subtest 'an ini that is a symbolic link' => sub {
    my $good = slurp("$ini.first");
    unlink "$ini.first";
    renews();
    is_hello($httpd, '/app', 'its target is deleted: it has what it had');
    turn_to($httpd->write('broken.ini', "[wsgi]\nskript = x\n"));
    renews();
    is_hello($httpd, '/app', 'it leads to a broken file: the same');
    is scalar(() = $httpd->log_text =~ /WEAVE0013/g), 2, 'said each time';
    turn_to($httpd->write('good.ini', $good));
    renews();
    is_hello($httpd, '/app', 'to a good one: that');
    is scalar(() = $httpd->log_text =~ /WEAVE0013/g), 2, 'with nothing to say';
};

# They began in the folder of what was kept, /proc/self/fd.
subtest 'relative paths of WeaveSet' => sub {
    my $good = slurp($ini);
    mkdir $httpd->dir . '/uploads' or die $!;
    $httpd->configure("WeaveSet limits.spool_dir uploads\n$beside");
    renews();
    is_hello($httpd, '/app', 'it serves');
    $httpd->write('good.ini', "[wsgi]\nskript = x\n");
    renews();
    is_hello($httpd, '/app', 'the file is broken: it has what it had');
    $httpd->write('good.ini', $good);
    renews();
};

subtest 'a second application' => sub {
    $httpd->write('other.ini', slurp($ini));
    $httpd->configure("WeaveApp /another \"DIR/other.ini\"\n$beside");
    renews();
    is_hello($httpd, '/app', 'the first one goes on');
    is_503($httpd, '/another');
    like $httpd->log_text, qr/WEAVE0011: /, 'the log says why';
    like $httpd->log_text, qr/WEAVE0014: .*other\.ini/, 'and what that means';
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
