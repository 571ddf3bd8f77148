# SPDX-License-Identifier: Apache-2.0
#
# What keeps workers from starting, and who says so.

use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use Test::More;
use WeaveTest;
use WeaveTest::Maintenance;
use WeaveTest::Workers;

# configtest fails with WANT, without a word of a crash.
sub refused {
    my ($name, $want, %arg) = @_;
    my $httpd = new_httpd(%arg, expect => qr/./);
    my ($status, $output) = $httpd->configtest;
    isnt $status, 0, "$name: refused";
    like $output, $want, "$name: the reason";
}

refused('a virtualenv that is none', qr/no-venv/,
    ini => "[wsgi]\nscript = " . root() . "/apps/workers.wsgi\n"
        . "virtualenv = /tmp/no-venv\n");
refused('an unknown user', qr/no-such-user/,
    workers => "user = no-such-user\n");
refused('a path that no socket may have', qr/WEAVE0127/,
    conf => "WeaveRuntimeDir \"DIR/@{[ 'x' x 80 ]}\"\n"
        . 'WeaveApp / "DIR/sync.ini"');

subtest 'an application that cannot be imported' => sub {
    my $httpd = new_httpd(
        app    => "import a_module_that_is_not_there\n",
        conf   => 'WeaveApp /app "DIR/sync.ini"',
        expect => qr/WEAVE00(?:47|7[45]|80)|$STACKS/);
    my $log = $httpd->logged(qr/WEAVE0080/, sub { $httpd->start });
    like $log, qr/Traceback/, 'a traceback';
    like $log, qr/ModuleNotFoundError: .*a_module_that_is_not_there/,
        'and the error';
    my $res = $httpd->get('/app');
    is_plain_refusal($res, 'clients get 503, and when to come again',
        body => $FAILS);
    is $httpd->get('/plain.txt')->status, 200, 'httpd serves its files';
    my ($exit, $text) = weavectl($httpd, 'status');
    is $exit, 0, 'weavectl answers';
    like $text, qr/failed/, 'and knows';
    $httpd->write('app.wsgi', slurp(root() . '/apps/hello.wsgi'));
    ok eventually(sub { $httpd->get('/app')->status == 200 }),
        'mended, it comes up by itself';
    unlike +(weavectl($httpd, 'status'))[1], qr/last error/, 'nothing is wrong now';
    # weaved knew nothing of the reason where a replacement failed
    $httpd->write('app.wsgi', "import another_module\n");
    kill KILL => workers($httpd);
    ok eventually(sub { (weavectl($httpd, 'status'))[1] =~
        /^  last error: generation \d+ has failed: worker \d+: .*ModuleNotFoundError: No module named 'another_module'$/m }),
        'a replacement does not come up';
    $httpd->write('app.wsgi', slurp(root() . '/apps/hello.wsgi'));
    ok eventually(sub { (weavectl($httpd, 'status'))[1] !~ /last error/
        && $httpd->get('/app')->status == 200 }), 'mended again';
    # the reason of a generation that had failed went with a worker of the one
    # before, and weavectl reload could wait for it for ever
    $httpd->write('app.wsgi', "import a_third_module\n");
    kill KILL => workers($httpd);
    ok eventually(sub { (weavectl($httpd, 'status'))[1] =~ /a_third_module/ }),
        'no worker is there';
    my $failed = generation($httpd) + 1;
    is((weavectl($httpd, 'reload'))[0], 1, 'nor does a new generation come up');
    $httpd->write('app.wsgi', slurp(root() . '/apps/hello.wsgi'));
    ok eventually(sub { $httpd->get('/app')->status == 200 }),
        'the one before serves again';
    like +(weavectl($httpd, 'status'))[1],
        qr/^  last error: generation $failed has failed/m, 'the reason stays';
    reloads($httpd);
    unlike +(weavectl($httpd, 'status'))[1], qr/last error/, 'until one serves';
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'a runtime directory in use' => sub {
    my $httpd = new_httpd();
    serves($httpd);
    my $other = new_httpd(
        conf => "WeaveRuntimeDir \"${\ $httpd->runtime}\"\n"
            . 'WeaveApp / "DIR/sync.ini"');
    my $weaved = status($httpd)->{pid};
    # configtest said "Syntax OK", and the start had the exit status 0
    for my $args (['-t'], ['-k', 'start']) {
        my ($status, $output) = $other->run(@$args);
        isnt $status, 0, "@$args is refused";
        like $output, qr/WEAVE0260: WeaveRuntimeDir \Q${\ $httpd->runtime}\E is in use by another httpd, whose weaved has pid $weaved\b/,
            'and says why';
    }
    ok !-s $other->dir . '/httpd.pid', 'that httpd does not run';
    is_deeply [$httpd->configtest], [0, "Syntax OK\n"], 'the folder is not in use for its own';
    is status($httpd)->{pid}, $weaved, 'by the same weaved';
    is $httpd->get('/who')->status, 200, 'the first one is as it was';
    is scalar(workers($httpd)), 2, 'with its workers';
    my $state = JSON::PP->new->decode(slurp($httpd->runtime . '/httpd.json'));
    is $state->{pid}, $httpd->pid, 'and weavectl finds it there';
    ok defined $httpd->stop, 'it stops';
    ok !-e $httpd->runtime . '/httpd.json', 'and takes that away';
    # where the first weaved takes its time to end, it is told so once more
    ok eventually(sub { eval { $other->start; 1 } }), 'then the other starts';
    is $other->get('/who')->status, 200, 'now there is room for the other';
    ok defined $other->stop, 'which stops';
};

subtest 'a runtime directory that is removed' => sub {
    my $httpd = new_httpd(expect => qr/WEAVE0068|WEAVE013[48]|WEAVE0291/);
    my $dir   = $httpd->runtime;
    serves($httpd);
    for my $what ('the sockets of workers', 'all of it') {
        my @files = $what =~ /^all/ ? glob "$dir/*" : glob "$dir/w-*";
        unlink(@files) == @files or die "unlink: $!";
        if ($what =~ /^all/) {
            rmdir $dir or die "$dir: $!";
            my ($exit, $text) = weavectl($httpd, 'reload');
            is $exit, 1, 'weavectl finds nobody';
            like $text, qr{somebody has removed what was there: then `apachectl graceful` makes},
                'and knows what may be wrong';
            ($exit, $text) = weavectl($httpd, 'maintenance', 'on');
            is $exit, 1, 'so it is for maintenance';
            like $text, qr/is not there: .*somebody has removed what was in it/,
                'with -s it would find httpd';
        }
        # weaved looks every 5 s: a graceful before that changed nothing, and
        # clients got 503 until the second one
        ok $httpd->renew, "$what: one graceful";
        ok eventually(sub { $httpd->get('/who')->status == 200 }), 'mends it';
        like $httpd->log_text, qr/WEAVE0262: \Q$dir\E,/, 'which is said';
        ok eventually(sub { scalar workers($httpd) == 2 }), 'weavectl has a way in';
    }
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'one process, as under a debugger' => sub {
    my $httpd   = new_httpd();
    my @command = (conf_var('httpd'), '-X', '-d', $httpd->dir,
                   '-f', $httpd->dir . '/httpd.conf');
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        exec @command or die "$command[0]: $!";
    }
    $httpd->{pid} = $pid;
    ok eventually(sub { eval { $httpd->get('/who')->status == 200 } }),
        'httpd -X answers from a worker';
    kill TERM => $pid;
    waitpid $pid, 0;
    $httpd->{pid} = 0;
    like $httpd->log_text, qr/httpd asks for "stop"/, 'it tells weaved that it ends';
    ok !-e $httpd->runtime . '/httpd.json', 'and weavectl';
};

finish;
