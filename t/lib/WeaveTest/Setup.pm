# SPDX-License-Identifier: Apache-2.0
#
# What the server needs beside its configuration, made when the tests run.

package WeaveTest::Setup;

use strict;
use warnings FATAL => 'all';
use WeaveTest qw(spew);

# The folder of the sockets.
sub runtime_dir {
    my $dir = shift;
    mkdir $dir, 0755 or die "$dir: $!";
}

# DIR/tls.crt and DIR/tls.key, for localhost and today.
sub certificate {
    my $dir = shift;
    return if -e "$dir/tls.crt";
    my $request = 'req -x509 -newkey rsa:2048 -nodes -days 2'
        . ' -subj /CN=localhost -addext basicConstraints=CA:FALSE';
    my $output =
        qx(openssl $request -keyout '$dir/tls.key' -out '$dir/tls.crt' 2>&1);
    die "openssl: $output" if $?;
}

# The user Aladdin with the password "open sesame" (RFC 7617).
sub passwords {
    my $file = shift;
    my $hash = qx(openssl passwd -apr1 'open sesame');
    die 'openssl passwd failed' if $?;
    spew($file, "Aladdin:$hash");
}

1;
