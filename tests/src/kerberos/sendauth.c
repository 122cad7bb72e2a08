/* One side of Kerberos's sendauth, over the socket that is standard input; nothing behind it is read.
 *
 *   sendauth accept VERSION                   the server: prints the client's name without realm
 *   sendauth request SERVER VERSION mutual    the client of the principal SERVER; `one-way` asks for no proof
 *
 * Keys, tickets and realm come from KRB5_KTNAME, KRB5CCNAME and KRB5_CONFIG. The exit code is 1 when the other side
 * refuses or is refused.
 */
#include <krb5.h>
#include <stdio.h>
#include <string.h>

static krb5_context context;

static int failed(const char *what, krb5_error_code error) {
    const char *text = krb5_get_error_message(context, error);
    fprintf(stderr, "%s: %s\n", what, text);
    krb5_free_error_message(context, text);
    return 1;
}

static int accept_client(char *version) {
    krb5_auth_context auth = NULL;
    krb5_ticket *ticket = NULL;
    char *name = NULL;
    int socket = 0;
    krb5_error_code error = krb5_recvauth(context, &auth, &socket, version, NULL, 0, NULL, &ticket);
    if (error) return failed("recvauth", error);
    error = krb5_unparse_name_flags(context, ticket->enc_part2->client, KRB5_PRINCIPAL_UNPARSE_NO_REALM, &name);
    if (error) return failed("the client's name", error);
    puts(name);
    return 0;
}

static int request_server(const char *server_name, char *version, const char *proof) {
    krb5_auth_context auth = NULL;
    krb5_ccache tickets;
    krb5_principal client, server;
    krb5_error *refusal = NULL;
    int socket = 0;
    krb5_error_code error = krb5_cc_default(context, &tickets);
    if (!error) error = krb5_cc_get_principal(context, tickets, &client);
    if (!error) error = krb5_parse_name(context, server_name, &server);
    if (error) return failed("tickets", error);
    krb5_flags options = strcmp(proof, "mutual") == 0 ? AP_OPTS_MUTUAL_REQUIRED : 0;
    error = krb5_sendauth(context, &auth, &socket, version, client, server, options, NULL, NULL, tickets, &refusal,
                          NULL, NULL);
    return error ? failed("sendauth", error) : 0;
}

int main(int count, char **words) {
    krb5_error_code error = krb5_init_context(&context);
    if (error) return failed("context", error);
    if (count == 3 && strcmp(words[1], "accept") == 0) return accept_client(words[2]);
    if (count == 5 && strcmp(words[1], "request") == 0) return request_server(words[2], words[3], words[4]);
    fprintf(stderr, "usage: sendauth accept VERSION | request SERVER VERSION mutual|one-way\n");
    return 2;
}
