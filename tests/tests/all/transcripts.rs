//! The transcripts in `tests/transcripts`, each a test of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use popgate_tests::transcript;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "transcripts"].iter().collect()
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                transcript::play(&folder().join(concat!(stringify!($name), ".txt")));
            }
        )*
    };
}

#[test]
fn every_transcript_is_played() {
    let files = std::fs::read_dir(folder()).expect("the transcripts are there");
    let files: BTreeSet<_> = files.map(|file| file.expect("a folder can be listed").file_name()).collect();
    let names: BTreeSet<_> = NAMES.iter().map(|name| format!("{name}.txt").into()).collect();
    assert_eq!(files, names);
}

transcripts! {
    apop_is_made_by_the_proxy
    apop_is_made_from_sasl_credentials
    apop_is_relayed
    apop_of_a_routed_user
    apop_stamp_can_be_taken_out
    apop_without_a_timestamp_sends_no_password
    auth_alone_lists_mechanisms
    auth_external_is_relayed
    auth_gssapi_with_empty_and_long_lines
    auth_line_that_is_too_long
    auth_lines_are_no_commands
    auth_login_is_relayed
    auth_of_a_server_that_says_ok_for_plus
    auth_plain_with_a_challenge
    auth_plain_with_initial_response
    auth_scram_is_relayed
    auth_that_is_cancelled
    auth_that_is_no_attempt_costs_nothing
    auth_that_is_refused
    auth_with_a_refused_token
    auth_with_bad_base64
    auth_with_channel_binding_is_not_relayed
    auth_with_tokens_as_long_as_they_may_be
    bad_commands_after_login_end_the_session
    bare_cr_in_a_line
    bare_lf_behind_a_long_line
    bare_lf_ends_no_line
    capabilities_after_login
    capabilities_before_login
    capabilities_of_a_server_without_capa
    capabilities_that_are_none
    capabilities_without_channel_binding
    cleartext_from_afar_can_be_allowed
    cleartext_from_afar_is_refused
    client_that_closes_behind_quit
    client_that_goes_inside_an_exchange
    client_that_vanishes_after_dele
    client_that_vanishes_with_half_a_command
    commands_after_login_are_refused
    commands_before_login_are_refused
    credentials_may_hold_any_octet
    credentials_with_a_line_end_are_refused
    dele_and_rset
    envelope_for_filters
    envelope_that_the_client_asks_for
    envelope_without_end
    error_texts_are_bounded
    error_texts_are_relayed_verbatim
    extensions_with_known_replies
    five_bad_commands_before_login_end_the_session
    greeting_is_relayed_verbatim
    greeting_longer_than_a_kilobyte
    greeting_of_the_proxy_itself
    greeting_of_the_proxy_itself_and_quit
    greeting_that_is_no_pop3_is_not_relayed
    greeting_that_refuses_reaches_the_client
    greeting_with_control_characters_is_cleaned
    greeting_without_end_is_not_relayed
    implicit_tls_of_the_client
    junk_before_a_command_that_waited
    junk_behind_a_message
    junk_behind_the_greeting
    line_that_is_too_long
    line_without_end
    line_without_end_behind_a_command
    list
    login_that_is_refused_can_be_repeated
    login_with_user_and_pass
    mailbox_in_use
    master_login_behind_a_password
    master_login_that_the_server_refuses
    message_numbers_are_checked
    messages_are_read_ahead
    noop
    nothing_is_read_ahead_without_pipelining
    nul_behind_a_login_without_layer
    nul_in_a_line
    one_octet_at_a_time
    password_keeps_its_blanks
    password_of_many_octets_is_relayed
    pipelined_after_login
    pipelined_before_login
    pipelined_behind_a_refused_password
    pipelined_while_a_message_comes
    proxy_header_for_the_server
    proxy_header_that_is_missing_ends_the_connection
    quit_before_login
    quit_behind_replies_of_the_proxy
    quit_of_a_client_that_sends_no_more
    quit_that_fails_is_told
    quit_waits_for_what_is_under_way
    quit_without_reply_is_an_error
    refusals_of_the_server_are_no_bad_commands
    reply_line_that_is_too_long
    reply_that_is_none
    reply_that_nobody_asked_for
    retr
    route_for_nobody
    route_that_refuses_may_be_tried_again
    route_to_a_server_that_may_not_be_named
    route_with_a_token_for_apop
    route_with_auth_plain
    route_with_blanks_around_the_name
    route_with_chosen_mechanisms
    route_with_login_for_a_server_with_login
    route_with_plus_in_the_name
    route_with_sasl_for_a_server_without
    route_with_user_and_pass
    route_without_mechanisms
    security_layer_ends_the_session
    security_layer_of_digest_md5_ends_the_session
    server_that_offers_no_top
    server_that_offers_no_top_of_filtered_mail
    sizes_that_lie
    sizes_that_lie_of_filtered_mail
    stat
    stls_forgets_the_user
    stls_of_the_client
    stls_required
    stls_where_it_is_not_offered
    stls_with_plain_octets_behind_it
    top
    twenty_bad_commands_after_login_end_the_session
    uidl
    unknown_commands_are_answered_here
    upstream_that_dies_at_login
    upstream_that_dies_before_a_reply
    upstream_that_dies_before_the_dot
    upstream_that_dies_inside_a_message
    upstream_that_dies_while_idle
    upstream_that_refuses_stls
    upstream_with_octets_before_its_handshake
    upstream_with_stls
    utf8_and_lang
    verbs_in_any_case
    what_was_read_ahead_is_given_back
    xclient_where_it_is_not_offered
    xclient_where_it_is_offered
}
