//! Perl's Net::POP3: USER and PASS or what it is told, then RETR of each.

use std::path::Path;
use std::process::Command;

use super::{Account, Mechanism, Tls, installed};

const SCRIPT: &str = r#"
use strict;
use warnings;
use Net::POP3;
my ($mode, $port, $ca, $mechanism, $user, $password, $inbox) = @ARGV;
my %tls = (SSL_ca_file => $ca, SSL_verifycn_name => "localhost");
my $server = Net::POP3->new("localhost", Port => $port, Timeout => 50, SSL => $mode eq "implicit", %tls)
    or die "no connection: $@ $IO::Socket::SSL::SSL_ERROR";
$server->starttls(%tls) or die "no STLS: ", $server->message if $mode eq "stls";
my $count;
if ($mechanism eq "USER") {
    $count = $server->login($user, $password);
} elsif ($mechanism eq "APOP") {
    $count = $server->apop($user, $password);
} else {
    require Authen::SASL;
    my %callback = (user => $user, authname => $user, pass => $password);
    my $sasl = Authen::SASL->new(mechanism => $mechanism, callback => \%callback);
    $count = $server->auth($sasl) ? ($server->popstat)[0] : undef;
}
defined $count or die "no login: ", $server->message;
for my $number (1 .. $count) {
    my $lines = $server->get($number) or die "no message: ", $server->message;
    open my $file, ">:raw", "$inbox/$number" or die $!;
    print $file @$lines;
    close $file or die $!;
}
$server->quit;
"#;

pub(super) fn command(account: &Account<'_>, inbox: &Path) -> Command {
    let mut command = installed("perl", "perl");
    command.arg("-e").arg(SCRIPT).arg(Tls::name(account.tls)).arg(account.port.to_string()).arg(account.ca);
    command.args([account.mechanism.name(), account.user, account.password]).arg(inbox);
    command
}

pub(super) fn lacks(mechanism: Mechanism) -> Option<&'static str> {
    let known = !matches!(mechanism, Mechanism::ScramSha1 | Mechanism::ScramSha256 | Mechanism::Xoauth2);
    (!known).then_some("Authen::SASL has neither SCRAM nor XOAUTH2")
}
