# SPDX-License-Identifier: Apache-2.0
#
# sys.stdout and sys.stderr where they are more than a place for lines. Each
# test names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

# [BODY, LOG LINES...] of one case; bytes above 127 are \xNN in the log.
sub ask {
    my ($case, $want) = @_;
    my $body;
    my $log = logged($want, sub { $body = get("/stdout/$case")->body });
    $log =~ s/\\x([0-9a-f]{2})/chr hex $1/ge;
    return ($body, split /\n/, $log);
}

# It was kept in memory until its newline came.
subtest 'a line that does not end' => sub {
    my ($grown, @lines) = ask('endless_line', qr/END/);
    cmp_ok $grown, '<', 2048, 'is not kept in memory';
    my $text = join '', map { /([xBEGIND]{100,})$/ ? $1 : '' } @lines;
    ok $text eq 'BEGIN' . 'x' x (64 * 65536) . 'END', 'no byte of it is lost'
        or diag length $text;
    cmp_ok scalar @lines, '>', 500, 'it comes in pieces';
};

my ($body, @lines) = ask('last_words', qr/last words/);
is scalar(grep { /last words of a thread$/ } @lines), 1,
    'an open line of a thread that ends was lost';

($body, @lines) = ask('halves', qr/in halves/);
is scalar(grep { /caf\xc3\xa9 in halves$/ } @lines), 1,
    'a character written in two halves became two wrong ones';

# The traceback continued the open line.
subtest 'an exception in the middle of a line' => sub {
    my (undef, @lines) = ask('before_exception', qr/ValueError: an exception/);
    is scalar(grep { /^weave:warn (?:\S+: )?begun and $/ } @lines), 1,
        'the line of stdout is one of its own' or diag join "\n", @lines;
    is scalar(grep { /^weave:error (?:\S+: )?broken off by $/ } @lines), 1,
        'so is that of stderr' or diag join "\n", @lines;
    is scalar(grep { /^weave:error WEAVE0040: the application failed$/ }
            @lines), 1, 'and what is reported';
};

# These raised AttributeError and UnsupportedOperation.
subtest 'what scripts do at their top' => sub {
    my ($body, @lines) = ask('reconfigured', qr/after reconfigure/);
    is $body, 'None', 'sys.stdout.reconfigure()';
    ($body) = ask('enabled');
    is $body, 'enabled', 'faulthandler.enable()';
    ($body, @lines) = ask('handed_on', qr/from a subprocess/);
    is $body, '0', 'subprocess.run(stderr=sys.stderr)';
    is scalar(grep { /from a subprocess$/ } @lines), 1,
        'writes to the error log of httpd';
};

finish;
