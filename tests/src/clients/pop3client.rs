//! Perl's Mail::POP3Client: STAT, LIST, then RETR of each. It offers no STLS.

use std::path::Path;
use std::process::Command;

use super::{Account, Mechanism, Tls, installed};

/// It is given the socket for TLS, since it would check no name itself.
const SCRIPT: &str = r#"
use strict;
use warnings;
use Mail::POP3Client;
my ($mode, $port, $ca, $mechanism, $user, $password, $inbox) = @ARGV;
my $server = Mail::POP3Client->new;
$server->AuthMode($mechanism eq "USER" ? "PASS" : $mechanism);
$server->User($user);
$server->Pass($password);
if ($mode eq "implicit") {
    require IO::Socket::SSL;
    my $socket = IO::Socket::SSL->new(PeerAddr => "localhost", PeerPort => $port, SSL_ca_file => $ca)
        or die "no connection: $IO::Socket::SSL::SSL_ERROR";
    $server->Socket($socket);
}
$server->Connect("localhost", $port) or die "no login: ", $server->Message;
$server->Count >= 0 or die "no login: ", $server->Message;
for my $number (1 .. $server->Count) {
    open my $file, ">:raw", "$inbox/$number" or die $!;
    $server->RetrieveToFile($file, $number) or die "no message: ", $server->Message;
    close $file or die $!;
}
$server->Close;
"#;

pub(super) fn command(account: &Account<'_>, inbox: &Path) -> Command {
    let mut command = installed("perl", "perl");
    command.arg("-e").arg(SCRIPT).arg(Tls::name(account.tls)).arg(account.port.to_string()).arg(account.ca);
    command.args([account.mechanism.name(), account.user, account.password]).arg(inbox);
    command
}

pub(super) fn lacks(tls: Tls, mechanism: Mechanism) -> Option<&'static str> {
    if tls == Tls::Stls {
        return Some("Mail::POP3Client has no STLS");
    }
    let known = matches!(mechanism, Mechanism::User | Mechanism::Apop | Mechanism::CramMd5);
    (!known).then_some("Mail::POP3Client has USER, APOP and CRAM-MD5 alone")
}
