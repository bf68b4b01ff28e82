/* The list of protocols. To add one: write its file, declare it in protocols.h, name it here: strong
 * signatures first, those that lean on a port last. */
#include "protocol/list.h"

#include "protocol/protocols.h"

const struct protocol *const protocol_list[] = {
    &protocol_tls,       &protocol_http,
    &protocol_http2,     &protocol_websocket,
    &protocol_ssh,       &protocol_quic,
    &protocol_smb,       &protocol_krb5,
    &protocol_rdp,       &protocol_rfb,
    &protocol_dns,       &protocol_mdns,
    &protocol_llmnr,     &protocol_nbns,
    &protocol_mqtt,      &protocol_ldap,
    &protocol_xmpp,      &protocol_smtp,
    &protocol_imap,      &protocol_pop3,
    &protocol_ftp,       &protocol_irc,
    &protocol_tailscale, &protocol_openvpn,
    &protocol_wireguard, &protocol_ike,
    &protocol_esp,       &protocol_ah,
    &protocol_dhcp,      &protocol_dhcp6,
    &protocol_stun,      &protocol_ssdp,
    &protocol_natpmp,    &protocol_pcp,
    &protocol_ntp,       &protocol_icmp_echo,
    &protocol_socks,     NULL,
};
