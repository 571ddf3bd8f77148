# SPDX-License-Identifier: Apache-2.0
#
# A fleet: nodes with a release.home of their own each, one share, and a balancer
# in front of them.
#
#   share_release('1.0');                              # a version in it, or
#   share_release('2.0', 'raise ImportError("no")');   # with lines at its import
#   my @nodes = map { node() } 1 .. 3;                 # WeaveTest::Httpd
#   my ($status, $said) = install($nodes[0], '==1.0');
#   my $balancer = balancer('/__lbheartbeat__', @nodes);
#   is_in($balancer, $node, 1);                        # waits until it gets requests

package WeaveTest::Fleet;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use Test::More;

use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();
use WeaveTest::Workers qw(weavectl serves);

our @EXPORT = qw(share_release channel node install balancer is_in answers);

my $share = root() . "/logs/share-$$";

# The application says its version.
my $APP = <<'END';
import os
import sys

%s
VERSION = b"%s"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [VERSION]
END

# Makes wheel and manifest of SHARE/app.py.
my $MAKE = <<'END';
import base64
import hashlib
import os
import sys
import zipfile

build, version, share = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, build + "/weave-release")
from mozupload import manifest

info = "tiny_app-%s.dist-info/" % version
with open(share + "/app.py", encoding="utf-8") as file:
    members = {"tiny_app.py": file.read()}
members[info + "METADATA"] = "Metadata-Version: 2.1\nName: tiny-app\nVersion: %s\n" % version
members[info + "WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
rows = ["%s,sha256=%s,%d\n" % (name, base64.urlsafe_b64encode(hashlib.sha256(
    text.encode()).digest()).rstrip(b"=").decode(), len(text)) for name, text in members.items()]
members[info + "RECORD"] = "".join(rows) + info + "RECORD,,\n"
name = "tiny_app-%s-py3-none-any.whl" % version
with zipfile.ZipFile(os.path.join(share, name), "w") as archive:
    for member, text in members.items():
        archive.writestr(member, text)
with open(os.path.join(share, name), "rb") as file:
    data = file.read()
made = manifest.make(
    name="tiny-app", project="tiny-app", version=version, requires={}, system={}, python=["3.11"],
    files=[manifest.File(name, hashlib.sha256(data).hexdigest(), len(data), "tiny-app", version,
                         "application")],
    platforms=[], vcs=None, allowed=[], by="ada", at="2026-11-30T0%s:00:00Z" % version[0], tools={})
with open(os.path.join(share, manifest.path_of("tiny-app", version)), "wb") as file:
    file.write(made.data())
END

# Puts wheel and manifest of tiny-app VERSION into the share, with LINES of Python that
# run at its import.
sub share_release {
    my ($version, $lines) = @_;
    mkdir $share;
    mkdir "$share/$_" for qw(releases channels);
    spew("$share/app.py", sprintf $APP, $lines || '', $version);
    my $build = conf_var('weave_build');
    open my $python, '|-', '/usr/bin/python3', '-', conf_var('weave_build'), $version, $share
        or die "python: $!";
    print $python $MAKE;
    close $python or die "the share cannot be made: $?";
    unlink "$share/app.py";
    return;
}

# The channel NAME of the share leads to VERSION.
sub channel {
    my ($name, $version) = @_;
    return spew("$share/channels/$name", "tiny-app-$version\n");
}

# A node without a release. more => {section => lines of sync.ini}, expect as for new.
sub node {
    my (%arg) = @_;
    my $more  = $arg{more} || {};
    my $httpd = WeaveTest::Httpd->new(
        mode => 'processes', ini => "[wsgi]\n", ($arg{expect} ? (expect => $arg{expect}) : ()));
    my $home = $httpd->dir . '/home';
    mkdir $home, 0755 or die "$home: $!";
    my %ini = (
        wsgi    => "virtualenv = $home/current\nmodule = tiny_app\n",
        release => "home = $home\nfind_links = $share\nwarmup = /__heartbeat__\n",
        workers => "processes = 2\nthreads = 4\n",
    );
    $ini{$_} .= $more->{$_} for keys %$more;
    $httpd->write('sync.ini', join '', map { "[$_]\n$ini{$_}" } sort keys %ini);
    return $httpd;
}

# weavectl install tiny-appWHAT on NODE: (exit status, what it said).
sub install {
    my ($node, $what, @args) = @_;
    return weavectl($node, 'install', '-i', $node->dir . '/sync.ini', "tiny-app$what", @args);
}

sub answers { return $_[0]->get('/')->body }

# An httpd that balances over NODES, and asks HEALTH of each every second.
sub balancer {
    my ($health, @nodes) = @_;
    my $members = join '', map {
        sprintf qq(    BalancerMember "http://127.0.0.1:%d" hcmethod=GET hcuri=%s)
            . " hcinterval=1 hcpasses=1 hcfails=1 ttl=3\n", $_->port, $health
    } @nodes;
    my $conf = _modules(qw(slotmem_shm watchdog proxy proxy_http proxy_balancer
        lbmethod_byrequests proxy_hcheck)) . <<"END";
<Proxy "balancer://fleet">
$members</Proxy>
ProxyPass "/balancer-manager" "!"
ProxyPass "/" "balancer://fleet/"
<Location "/balancer-manager">
    SetHandler balancer-manager
</Location>
END
    return WeaveTest::Httpd->new(
        mode => '', conf => $conf, expect => qr/AH10187|AH0(?:0957|0959|1114|3\d{3})/);
}

sub _modules {
    my $have = slurp(root() . '/conf/modules.conf');
    my $dir  = WeaveTest::Modules::ask_apxs($ENV{APXS} || 'apxs', 'LIBEXECDIR');
    my $httpd = conf_var('httpd');
    my $built_in = qx($httpd -l);
    return join '', map { "LoadModule ${_}_module $dir/mod_$_.so\n" }
        grep { $have !~ /\b${_}_module\b/ && $built_in !~ /mod_$_\.c/ } @_;
}

# Waits until BALANCER gives requests to NODE (IN), or does not.
sub is_in {
    my ($balancer, $node, $in) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $port = $node->port;
    my $row;
    ok eventually(sub {
        ($row) = grep { /127\.0\.0\.1:$port/ } split /<tr/,
            $balancer->get('/balancer-manager')->body;
        return $row && ($row =~ /HcFl/ ? !$in : $in && $row =~ /Init Ok/);
    }), 'the balancer has noticed that ' . ($in ? 'it serves' : 'it goes') or diag $row;
    return;
}

1;
