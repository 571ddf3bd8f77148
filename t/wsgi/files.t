# SPDX-License-Identifier: Apache-2.0
#
# wsgi.file_wrapper over what looks like a plain file, or like a file, and is
# none. Each test names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

is get('/files/unflushed')->body, ' NEW content',
    'the descriptor was sent without what stood in the buffer';
is get('/files/unflushed_raw')->body, 'only in the buffer',
    'an empty file was sent';

my $version = slurp('/proc/version');
is get('/files/proc')->body, $version,
    'a file of /proc was sent as empty, as its size has it';

for my $case (qw(gives_none gives_number)) {
    my $res;
    my $log = logged(qr/TypeError/, sub { $res = get("/files/$case") });
    is $res->status, 500, "read() $case: 500";
    like $log, qr/^weave:error .*TypeError: /m, 'the log says why';
    unlike $log, qr/SystemError/, 'it was a SystemError of C code';
}

finish;
