/** Namespaces, by the specification they come from. */
export const ns = {
  client: "jabber:client",
  stanzas: "urn:ietf:params:xml:ns:xmpp-stanzas",
  roster: "jabber:iq:roster", // RFC 6121
  discoInfo: "http://jabber.org/protocol/disco#info", // XEP-0030
  discoItems: "http://jabber.org/protocol/disco#items",
  dataForms: "jabber:x:data", // XEP-0004
  commands: "http://jabber.org/protocol/commands", // XEP-0050
  muc: "http://jabber.org/protocol/muc", // XEP-0045
  mucUser: "http://jabber.org/protocol/muc#user",
  mucOwner: "http://jabber.org/protocol/muc#owner",
  rsm: "http://jabber.org/protocol/rsm", // XEP-0059
  pubsub: "http://jabber.org/protocol/pubsub", // XEP-0060
  pubsubEvent: "http://jabber.org/protocol/pubsub#event",
  publishOptions: "http://jabber.org/protocol/pubsub#publish-options",
  oob: "jabber:x:oob", // XEP-0066
  avatarData: "urn:xmpp:avatar:data", // XEP-0084
  avatarMetadata: "urn:xmpp:avatar:metadata",
  caps: "http://jabber.org/protocol/caps", // XEP-0115
  jingle: "urn:xmpp:jingle:1", // XEP-0166
  rtp: "urn:xmpp:jingle:apps:rtp:1", // XEP-0167
  rtpInfo: "urn:xmpp:jingle:apps:rtp:info:1",
  rtpAudio: "urn:xmpp:jingle:apps:rtp:audio",
  rtpVideo: "urn:xmpp:jingle:apps:rtp:video",
  iceUdp: "urn:xmpp:jingle:transports:ice-udp:1", // XEP-0176
  receipts: "urn:xmpp:receipts", // XEP-0184
  ping: "urn:xmpp:ping", // XEP-0199
  delay: "urn:xmpp:delay", // XEP-0203
  extdisco: "urn:xmpp:extdisco:2", // XEP-0215
  directInvite: "jabber:x:conference", // XEP-0249
  carbons: "urn:xmpp:carbons:2", // XEP-0280
  rtcpFeedback: "urn:xmpp:jingle:apps:rtp:rtcp-fb:0", // XEP-0293
  headerExtensions: "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0", // XEP-0294
  forward: "urn:xmpp:forward:0", // XEP-0297
  coin: "urn:xmpp:coin:1", // XEP-0298
  archive: "urn:xmpp:mam:2", // XEP-0313
  dtls: "urn:xmpp:jingle:apps:dtls:0", // XEP-0320
  markers: "urn:xmpp:chat-markers:0", // XEP-0333
  hints: "urn:xmpp:hints", // XEP-0334
  grouping: "urn:xmpp:jingle:apps:grouping:0", // XEP-0338
  sources: "urn:xmpp:jingle:apps:rtp:ssma:0", // XEP-0339
  jingleMessage: "urn:xmpp:jingle-message:0", // XEP-0353
  stanzaIds: "urn:xmpp:sid:0", // XEP-0359
  upload: "urn:xmpp:http:upload:0", // XEP-0363
  bookmarks: "urn:xmpp:bookmarks:1", // XEP-0402
  muji: "urn:xmpp:jingle:muji:0", // XEP-0272
  category: "urn:xmpp:jingle:apps:category:0", // XEP-0507
  conferences: "urn:xmpp:jingle:av-conferences:0",
  conferenceInfo: "urn:ietf:params:xml:ns:conference-info", // RFC 4575
  voiceRooms: "urn:voice.channel:voice:0",
  welloCalls: "urn:wello:calls:0", // docs/protocols/calls.md
  welloFocus: "urn:wello:calls", // the same, names the focus in its capabilities
  guests: "urn:wello:guests:0", // docs/protocols/guests.md
} as const;
