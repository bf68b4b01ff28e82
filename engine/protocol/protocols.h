/* The protocols that the engine knows; engine/protocol/list.c puts them in order. */
#ifndef LUNETTE_PROTOCOL_PROTOCOLS_H
#define LUNETTE_PROTOCOL_PROTOCOLS_H

#include "flow/protocol.h"

extern const struct protocol protocol_ah;
extern const struct protocol protocol_dhcp;
extern const struct protocol protocol_dhcp6;
extern const struct protocol protocol_dns;
extern const struct protocol protocol_dtls;
extern const struct protocol protocol_esp;
extern const struct protocol protocol_ftp;
extern const struct protocol protocol_http;
extern const struct protocol protocol_http2;
extern const struct protocol protocol_icmp_echo;
extern const struct protocol protocol_ike;
extern const struct protocol protocol_imap;
extern const struct protocol protocol_irc;
extern const struct protocol protocol_krb5;
extern const struct protocol protocol_l2tp;
extern const struct protocol protocol_ldap;
extern const struct protocol protocol_llmnr;
extern const struct protocol protocol_mdns;
extern const struct protocol protocol_mqtt;
extern const struct protocol protocol_natpmp;
extern const struct protocol protocol_nbns;
extern const struct protocol protocol_ntp;
extern const struct protocol protocol_openvpn;
extern const struct protocol protocol_pcp;
extern const struct protocol protocol_pop3;
extern const struct protocol protocol_pptp;
extern const struct protocol protocol_quic;
extern const struct protocol protocol_rdp;
extern const struct protocol protocol_rfb;
extern const struct protocol protocol_smb;
extern const struct protocol protocol_smtp;
extern const struct protocol protocol_socks;
extern const struct protocol protocol_softether;
extern const struct protocol protocol_ssdp;
extern const struct protocol protocol_ssh;
extern const struct protocol protocol_stun;
extern const struct protocol protocol_tailscale;
extern const struct protocol protocol_tls;
extern const struct protocol protocol_websocket;
extern const struct protocol protocol_wireguard;
extern const struct protocol protocol_xmpp;
extern const struct protocol protocol_zerotier;

#endif
