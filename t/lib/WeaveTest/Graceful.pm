# SPDX-License-Identifier: Apache-2.0
#
# What a graceful restart must leave alive, whatever it restarts into.

package WeaveTest::Graceful;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use Test::More;
use WeaveTest qw(eventually);

our @EXPORT = qw($plain restarts is_503 is_hello);

# The content of plain.txt, a file of httpd's own.
our $plain = "a plain file of httpd\n";

# Restarts HTTPD gracefully.
sub restarts {
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

# A child of before may still answer in the first moment.
sub is_503 {
    my ($httpd, $path) = @_;
    ok eventually(sub { $httpd->get($path)->status == 503 }), "$path: 503";
    is $httpd->get($path)->status, 503, 'and so it stays';
}

sub is_hello {
    my ($httpd, $path, $name) = @_;
    ok eventually(sub { $httpd->get($path)->status == 200 }), $name;
    is $httpd->get($path)->body, 'Hello, world!', 'from the application';
}

1;
