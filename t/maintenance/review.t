# SPDX-License-Identifier: Apache-2.0
#
# What was once wrong with maintenance, each by its name.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Maintenance;

# The mappings of PID that lead to the maintenance board.
sub maps {
    my $pid = shift;
    open my $in, '<', "/proc/$pid/maps" or return;
    return grep { /memfd:weave-maintenance/ } <$in>;
}

# The parent looked for boards at every restart, and kept what it had mapped
# for that, for writing: so did its children.
subtest 'children cannot write to the board' => sub {
    my $httpd = paused('');
    my %maps;
    ok $httpd->renew, 'a graceful';
    ok eventually(sub {
        %maps = map { $_ => [maps($_)] } $httpd->serving;
        return grep { @$_ } values %maps;
    }), 'children of the second generation';
    $maps{ $httpd->pid } = [maps($httpd->pid)];
    for my $pid (sort keys %maps) {
        is scalar(grep { !/ r--s / } @{ $maps{$pid} }), 0, "$pid reads only"
            or diag @{ $maps{$pid} };
    }
};

# It was taken for a handler of somebody else's, so clients were asked who they
# are first.
subtest 'SetHandler none' => sub {
    my $httpd = paused('On', conf => <<"END");
<Location />
    SetHandler none
$ASKS</Location>
END
    $httpd->write('passwords', '');
    is_refusal($httpd->get('/1.1/u/info/collections'), 'is no handler',
        body => $STORAGE, retry => 1800);
    is $httpd->get('/__lbheartbeat__')->status, 200, 'here neither';
};

# Trouble told clients to come back in a minute who were to stay away longer.
subtest 'a 503 shortens no backoff' => sub {
    my $httpd = paused('Backoff', set => ['retry_after 2400'],
        script => undef, app => "import nothing_of_that_name\n",
        expect => qr/WEAVE0020|Traceback|File|import|ModuleNotFound/);
    ok eventually(sub { $httpd->get('/1.1/x')->status == 503 }),
        'the application cannot be imported';
    my $res = $httpd->get('/1.1/x');
    is $res->header($_), 2400, "$_: as maintenance says"
        for qw(Retry-After X-Weave-Backoff X-Backoff);
};

finish;
