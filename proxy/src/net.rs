//! Connections: streams in clear or under TLS, listeners, admission, the PROXY protocol, certificates.
//!
//! Knows nothing of POP3: what is said on a connection, and when TLS begins on it, others decide.

mod alarm;
mod authority;
mod buffers;
mod certificate;
mod client_certificate;
mod client_tls;
mod connect;
mod legacy_tls;
mod limits;
mod listen;
mod login_delay;
mod made;
mod opening;
mod original;
mod proxy_protocol;
mod reach;
mod server_tls;
mod stream;
mod tls;

pub use alarm::Alarm;
pub use authority::{AuthorityError, OwnCertificate, own_certificate};
pub use buffers::{LARGE, SMALL, hand_on, make_room};
pub use certificate::{CertificateFault, CertificateFiles, CertificateSource};
pub use client_certificate::ClientCaError;
pub use client_tls::{
    Agreed, ClientTls, ClientTlsError, ClientTrust, Examination, Examiner, Presented, Reason, Refusal,
};
pub use connect::{ConnectError, connect, connect_where, depart};
pub use legacy_tls::{LegacyChoice, legacy_choice};
pub use limits::{Admission, Door, Permit, TooMany, UpstreamLimits, UpstreamPermit, UserLimits, UserPermit};
pub use listen::{Acceptor, BindError, bind};
pub use login_delay::{LoginDelays, Penalty};
pub use made::MadeCertificates;
pub use opening::{Opening, Stranger};
pub use original::{Departure, allow_any_destination, is_departure, original_destination};
pub use proxy_protocol::{
    Header, HeaderError, Progress, ReadHeaderError, header_v1, header_v2, is_trusted, parse, read_header,
};
pub use reach::{Chosen, Forbidden, OwnAddresses};
pub use server_tls::{AcceptError, MakingTls, ServerTls};
pub use stream::Stream;
