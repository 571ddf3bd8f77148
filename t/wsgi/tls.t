# SPDX-License-Identifier: Apache-2.0
#
# Behind mod_ssl: the scheme, HTTPS, and SSL_* where SSLOptions asks for them.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

plan skip_all => 'IO::Socket::SSL is needed'
    unless eval { require IO::Socket::SSL };

my $env = json('/environ', site => 'tls', tls => 1);
is $env->{'wsgi.url_scheme'}, 'https', 'wsgi.url_scheme';
like $env->{HTTPS}, qr/^(?:on|1)$/i, 'HTTPS';
like $env->{SSL_PROTOCOL}, qr/^TLSv1/, 'SSL_PROTOCOL';
is $env->{SSL_SERVER_S_DN_CN}, 'localhost', 'SSL_SERVER_S_DN_CN';
is_deeply $env->{odd}, [], 'all of them native strings';
is $env->{SERVER_PORT}, port('tls'), 'SERVER_PORT';

my $body = 'x' x 200000;
my $res  = request('POST', '/input/digest', site => 'tls', tls => 1,
    body => $body);
like $res->body, qr/^\[200000,/, 'an upload';
$res = get('/iterables/many', site => 'tls', tls => 1);
is length $res->body, 588890, 'a stream';
ok $res->complete, 'whole';

subtest 'a client that closes its sending side without close_notify' => sub {
    my $client = client('tls', tls => 1);
    $client->send(WeaveTest::Client::format_request('GET',
        '/connections/x?sleep=0.5'));
    $client->shut_writing;
    is $client->response->body, "sleep=0.5\n", 'gets its answer';
};

$env = json('/environ');
is $env->{'wsgi.url_scheme'}, 'http', 'without TLS: http';
ok !exists $env->{HTTPS}, 'and no HTTPS';
ok !exists $env->{SSL_PROTOCOL}, 'nor SSL_*';
$env = json('/environ', headers => ['Https' => 'on', 'X-HTTPS' => '1']);
is $env->{'wsgi.url_scheme'}, 'http', 'which a client cannot claim';
finish;
