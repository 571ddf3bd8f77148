# SPDX-License-Identifier: Apache-2.0
#
# New code: what makes a new generation, and what keeps the old one.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Graceful qw(restarts);
use WeaveTest::Workers;

# DIR/releases/NAME/app.wsgi, and DIR/current for one of them.
my $script = slurp(root() . '/apps/workers.wsgi');
my $httpd  = new_httpd(
    app     => $script,
    release => "reload = touch\nwarmup = /warm\n",
    conf    => qq(IncludeOptional DIR/more*.conf\nWeaveApp /app "DIR/sync.ini"),
    expect  => qr/WEAVE008[0137]|WEAVE0047|$STACKS/);
my $dir = $httpd->dir;
my $ini = slurp("$dir/sync.ini");
$ini =~ s{^script = .*}{script = $dir/current/app.wsgi}m;
spew("$dir/sync.ini", $ini);
mkdir "$dir/releases";
for my $name (qw(one two broken)) {
    mkdir "$dir/releases/$name";
    spew("$dir/releases/$name/app.wsgi", $script);
    spew("$dir/releases/$name/RELEASE", "$name\n");
}

sub switch_to {
    my $name = shift;
    symlink "releases/$name", "$dir/current.new" or die $!;
    rename "$dir/current.new", "$dir/current" or die $!;
}

sub is_release {
    my ($name, $why) = @_;
    ok eventually(sub { $httpd->get('/app/who')->body =~ / $name$/ }), $why;
}

switch_to('one');
serves($httpd);
is_release('one', 'the first release');

subtest 'weavectl reload' => sub {
    my @before = workers($httpd);
    reloads($httpd);
    is_release('one', 'the same release');
    ok gone($_), 'by other workers' for @before;
};

subtest 'a link that is switched' => sub {
    my $before = generation($httpd);
    my $log = $httpd->logged(qr/WEAVE0082/, sub { switch_to('two') });
    is_release('two', 'is noticed');
    cmp_ok generation($httpd), '>', $before, 'as another generation';
    like $log, qr/gets a new generation: it has changed on disk$/m, 'the log says why';
    like $log, qr/generation $before had another script,stamp$/m, 'and what changed';
    like $log, qr/worker \d+ of \Q$dir\E\/sync.ini is started for generation/, $_
        for 'and who starts';
};

subtest 'a script that is touched' => sub {
    my $before = generation($httpd);
    spew("$dir/releases/two/RELEASE", "three\n");
    utime undef, undef, "$dir/releases/two/app.wsgi";
    is_release('three', 'is noticed');
};

subtest 'a release that does not import' => sub {
    my $log = $httpd->logged(qr/WEAVE0080/, sub { switch_to('broken') });
    like $log, qr/RuntimeError: this release is broken/, 'the log says why';
    like $log, qr/Traceback/, 'with the traceback';
    is_release('three', 'the old one goes on');
    my ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 1, 'weavectl reload fails';
    # it said that the log says why
    like $text, qr/has failed, the one before goes on: .*RuntimeError: this release is broken$/m,
        'and says why';
    like $text, qr{^weavectl: more is in \Q$dir/error_log\E$}m, 'and where more is';
    is_release('three', 'the old one goes on');
    ($exit, $text) = weavectl($httpd, 'status');
    like $text, qr/^  last error: generation \d+ has failed: worker \d+: .*RuntimeError: this release is broken\n    more is in \Q$dir\E\/error_log$/m,
        'as status does';
    is status($httpd)->{error_log}, "$dir/error_log", 'for programs, too';
    switch_to('one');
    is_release('one', 'mended it serves');
};

# What an exception quotes may be a secret.
subtest 'a value of the sync.ini' => sub {
    my $url    = 'postgres://app:hush-hush@db.example/x';
    my $before = generation($httpd);
    spew("$dir/sync.ini", "$ini\n[storage]\nsqluri = $url\nkey = \"open sesame\"\n");
    restarts($httpd);
    ok eventually(sub { generation($httpd) > $before }), 'weaved has been told';
    spew("$dir/releases/broken/app.wsgi",
        "raise ValueError('no: $url', 'hush-hush', 'open sesame', '$dir')\n");
    my $log = $httpd->logged(qr/WEAVE0080/, sub { switch_to('broken') });
    my ($said) = $log =~ /(WEAVE0080.*)/;
    my ($exit, $text) = weavectl($httpd, 'status');
    my $json = (weavectl($httpd, 'status', '--json'))[1];
    for my $shown ($said, $text, $json) {
        unlike $shown, qr/hush-hush|sesame/, 'is not told';
        like $shown, qr/ValueError: .'no: \*\*\*', '\*\*\*', '\*\*\*', '\Q$dir\E'/,
            'but what is no secret is';
    }
    spew("$dir/releases/broken/app.wsgi", $script);
    spew("$dir/sync.ini", $ini);
    switch_to('one');
    restarts($httpd);
    is_release('one', 'mended it serves');
    ok eventually(sub { (weavectl($httpd, 'status'))[1] !~ /last error/ }),
        'and nothing is wrong';
};

# It started a generation of what httpd knew, and said that it serves.
subtest 'what configtest refuses' => sub {
    my $before = generation($httpd);
    my $same = sub {
        my ($name) = @_;
        my ($status, $output) = $httpd->configtest;
        isnt $status, 0, "$name: configtest fails";
        my ($exit, $text) = weavectl($httpd, 'reload');
        is $exit, 1, 'and so does reload';
        my ($why) = $output =~ /(WEAVE00\d\d: .*)/ or diag $output;
        # which has the line, where weaved has the file
        $why =~ s/^(WEAVE0004: \S+?):\d+:/$1:/;
        like $text, qr/^(?:error|weavectl): \Q$why\E$/m, 'with the same words';
    };
    spew("$dir/sync.ini", "$ini\n[limits]\nqueue_lenght = 7\n");
    $same->('a key that is none');
    unlink "$dir/sync.ini";
    my ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 1, 'no sync.ini';
    like $text, qr/WEAVE0015: .*sync\.ini.*No such file/, 'is said';
    spew("$dir/sync.ini", $ini);
    rename "$dir/releases/one/app.wsgi", "$dir/releases/one/away";
    $same->('no script');
    rename "$dir/releases/one/away", "$dir/releases/one/app.wsgi";
    is generation($httpd), $before, 'nothing was started';
    # which variables httpd has, weavectl cannot know
    spew("$dir/sync.ini", "$ini\n[other]\nkey = \${NOT_HERE}\n");
    ($exit, $text) = weavectl($httpd, 'reload');
    unlike $text, qr/NOT_HERE/, 'a variable is no mistake';
    # new workers had what httpd had read, and it said that they serve
    is $exit, 1, 'but httpd has not read this file';
    like $text, qr/nothing was reloaded: .* has changed .*apachectl graceful/,
        'which is said';
    spew("$dir/sync.ini", $ini);
    is_release('one', 'mended it serves');
};

# Of the application: what status says of its sync.ini, or ''.
sub outdated {
    my $text = (weavectl($httpd, 'status'))[1];
    return $text =~ /^  outdated: (.*)$/m ? $1 : '';
}

# A graceful restart is a signal: nothing said when the new file counts, nor
# that it does not.
subtest 'the sync.ini, and what runs' => sub {
    is outdated(), '', 'are the same';
    spew("$dir/sync.ini", "# a comment\n$ini");
    is outdated(), '', 'a comment changes nothing';
    my $log = $httpd->logged(qr/WEAVE0013/, sub {
        spew("$dir/sync.ini", "$ini\n[limits]\nqueue_lenght = 7\n");
        like outdated(), qr/has a mistake.*sync\.ini:\d+: .*queue_lenght/,
            'a mistake is seen before httpd reads it';
        $httpd->graceful;
        ok eventually(sub {
            outdated() =~ /could not take .*WEAVE0001: .*queue_lenght/;
        }), 'and after' or diag outdated();
    });
    for my $greeting (qw(Hello Bye)) {
        spew("$dir/sync.ini",
            $ini =~ s/^(\[wsgi\]\n)/$1environ.GREETING = $greeting\n/mr);
        like outdated(), qr/has changed since httpd has read it/, "$greeting is new";
        $httpd->graceful;
        my ($exit, $text) = weavectl($httpd, 'reload');
        is $exit, 0, 'weavectl reload waits for it' or diag $text;
        is $httpd->get('/app/greeting')->body, $greeting, 'and then it counts';
        is outdated(), '', 'and nothing is older';
    }
    # httpd took it for good, and for nothing
    spew("$dir/sync.ini", $ini =~ s/^(\[workers\]\n)/$1env.ONLY_HERE = 5\n/mr
        . "[own]\nkey = \${ONLY_HERE}\n");
    is +($httpd->configtest)[0], 0, 'a variable that only workers have';
    $httpd->graceful;
    my ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 0, 'is no obstacle' or diag $text;
    spew("$dir/sync.ini", $ini);
    restarts($httpd);
    ok eventually(sub { outdated() eq '' }), 'mended';
};

# status said that a sync.ini has a mistake when WeaveSet has what it lacks.
subtest 'a key that httpd.conf has' => sub {
    spew("$dir/more.conf", "WeaveSet wsgi.script $dir/current/app.wsgi\n");
    spew("$dir/sync.ini", $ini =~ s/^script = .*\n//mr);
    restarts($httpd);
    my ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 0, 'is no mistake of the sync.ini' or diag $text;
    is outdated(), '', 'and nothing is older';
    unlink "$dir/more.conf";
    spew("$dir/sync.ini", $ini);
    restarts($httpd);
    ok eventually(sub { outdated() eq '' }), 'mended';
};

subtest 'a warm-up without a 2xx' => sub {
    my $before = generation($httpd);
    spew("$dir/sync.ini", $ini =~ s/^warmup = .*/warmup = \/cold/mr);
    my $log = $httpd->logged(qr/WEAVE0080/, sub { $httpd->graceful });
    like $log, qr/WEAVE0080.*500/, 'the log says why';
    is_release('one', 'the old generation goes on');
    is generation($httpd), $before, 'and is the same';
    like outdated(), qr/generation $before goes on, since what the sync\.ini says/,
        'which status says';
    spew("$dir/sync.ini", $ini);
    restarts($httpd);
    is generation($httpd), $before, 'what runs is wanted again';
};

subtest 'a release that is taken back' => sub {
    my $before = generation($httpd);
    spew("$dir/releases/broken/app.wsgi", "raise RuntimeError('broken')\n");
    $httpd->logged(qr/WEAVE0080/, sub { switch_to('broken') });
    like((weavectl($httpd, 'status'))[1], qr/last error: .*RuntimeError: broken/, 'has failed');
    switch_to('one');
    ok eventually(sub { (weavectl($httpd, 'status'))[1] !~ /last error/ }), 'and is forgotten';
    is generation($httpd), $before, 'the same generation serves';
};

subtest 'another ini' => sub {
    my $before = generation($httpd);
    spew("$dir/sync.ini", $ini =~ s/^threads = .*/threads = 2/mr);
    restarts($httpd);
    ok eventually(sub { generation($httpd) > $before }),
        'is another generation';
    is_release('one', 'of the same release');
    like $httpd->log_text, qr/httpd wants another ini_text,ini_hash,workers.threads$/m, 'and the log says why';
};

ok defined $httpd->stop, 'httpd stops';
finish;
