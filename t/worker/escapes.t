# SPDX-License-Identifier: Apache-2.0
#
# Text of an application, of its sync.ini and of its path reaches the terminal of
# whoever asks weavectl, mostly root. No escape sequence does, and no line that
# seems to be weavectl's own.

use strict;
use warnings FATAL => 'all';
use Encode qw(encode_utf8);
use JSON::PP ();
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

# The window's title, a device that answers, C1 as UTF-8 has it, DEL, a line.
my $EVIL = "\\x1b]0;owned\\x07\\x1b[2J\\x9b6n\\x7f\\n/etc/other.ini: serving";

# TEXT has no control character but line feeds; WANT is in it, escaped.
sub harmless {
    my ($name, $text, $want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    unlike $text, qr/[^\P{Cc}\n]|[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/,
        "$name: no control character";
    unlike $text, qr{^/etc/other\.ini}m, "$name: no line of others";
    like $text, $want, "$name: what is shown instead" if $want;
}

# Returns the bytes that $EVIL stands for, up to its line feed.
sub in_one_line { return (eval qq("$EVIL")) =~ s/\n.*//sr }

# It speaks to weaved in the place of its worker, and then cannot be imported.
my $APP = <<'END' =~ s/EVIL/$EVIL/gr;
import json
import os
import socket

evil = "boom EVIL"
for fd in range(3, 64):
    try:
        channel = socket.socket(fileno=os.dup(fd))
    except OSError:
        continue
    if channel.type == socket.SOCK_STREAM:
        try:
            channel.send(json.dumps({"op": "failed", "error": evil}).encode() + b"\n")
        except OSError:
            pass
raise ImportError(evil)
END

my $httpd = new_httpd(app => $APP,
    expect => qr/WEAVE00(?:02|47|80)|$STACKS|boom|other\.ini: serving/);
my $dir = $httpd->dir;
my $log = $httpd->logged(qr/WEAVE0080/, sub { $httpd->start });
like $log, qr/boom \\x1b\]0;owned\\x07/, 'the log escapes it';

subtest 'what an application says' => sub {
    my ($exit, $text) = weavectl($httpd, 'status');
    harmless('status', $text,
        qr/last error: .*boom \\x1b\]0;owned\\x07\\x1b\[2J\\xc2\\x9b6n\\x7f\\x0a/);
    ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 1, 'reload fails';
    harmless('reload', $text, qr/has failed.*boom \\x1b/);
    ($exit, $text) = weavectl($httpd, 'status', '--json');
    harmless('status --json', $text, qr/boom \\u001[bB]\]0;owned/);
    my $app = JSON::PP->new->decode($text)->{applications}[0];
    like $app->{last_error}, qr/boom \x1b\]0;owned\x07\x1b\[2J\x{9b}6n\x7f\n/,
        'which is what the application said';
};

subtest 'what a sync.ini has in it' => sub {
    my $ini = slurp("$dir/sync.ini");
    my $evil = in_one_line();
    spew("$dir/evil.ini", $ini . encode_utf8(
        "[extra]\nkey = $evil\n[maintenance]\npage = /no/$evil\n"
        . "[release]\nwarmup = /$evil\n[limits]\nfoo$evil = 1\n"));
    for my $args (['config'], ['config', '--json'], ['check']) {
        my ($exit, $text) = weavectl($httpd, @$args, "$dir/evil.ini");
        like $text, qr/owned/, "@$args shows it";
        harmless("@$args", $text, qr/\\(?:x1b|u001[bB])\]0;owned/);
    }
};

subtest 'what paths have in them' => sub {
    my $evil = in_one_line();
    my $path = "/nowhere/" . encode_utf8($evil);
    my ($exit, $text) = weavectl($httpd, '-i', $path, 'maintenance', 'on');
    isnt $exit, 0, 'there is no such file';
    harmless('maintenance', $text, qr{/nowhere/\\x1b\]0;owned});
    ($exit, $text) = weavectl($httpd, '-d', $path, 'status');
    harmless('status', $text, qr{/nowhere/\\x1b\]0;owned});
    ($exit, $text) = weavectl($httpd, "--$evil");
    harmless('an option', $text, qr/owned/);
    ($exit, $text) = weavectl($httpd, 'check', $path);
    harmless('check', $text, qr{/nowhere/\\x1b\]0;owned});
};

ok defined $httpd->stop, 'httpd stops';
finish;
