//! What holds where the file says nothing; `config.toml` shows the same.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::*;

impl Default for Config {
    fn default() -> Config {
        Config {
            hosts: vec!["localhost".into()],
            host: Vec::new(),
            external_service: Vec::new(),
            component: Vec::new(),
            data_dir: "./data".into(),
            listen: Listen::default(),
            tls: Tls::default(),
            acme: Acme::default(),
            storage: Storage::default(),
            auth: Auth::default(),
            limits: LimitsConfig::default(),
            s2s: S2s::default(),
            sessions: Sessions::default(),
            archive: Archive::default(),
            offline: Offline::default(),
            privacy: Privacy::default(),
            blocklists: Blocklists::default(),
            egress: Egress::default(),
            reports: Reports::default(),
            audit: Audit::default(),
            pubsub: PubSub::default(),
            rooms: Rooms::default(),
            calls: Calls::default(),
            guests: Guests::default(),
            http: Http::default(),
            uploads: Uploads::default(),
            push: Push::default(),
            ptt: Ptt::default(),
            turn: Turn::default(),
            log: Log::default(),
            contact: Contact::default(),
            serverinfo: ServerInfo::default(),
            outage: Outage::default(),
            data_policy: DataPolicy::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Listen {
        let everywhere = |port| vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
        Listen {
            c2s: everywhere(5222),
            c2s_tls: everywhere(5223),
            https: everywhere(5443),
            http: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5280))],
            bytestreams: everywhere(7777),
            turn: everywhere(3478),
            turns: everywhere(5349),
            components: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5347))],
            media: everywhere(10000),
        }
    }
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { min_version: TlsVersion::Tls12, proxy_protocol_from: Vec::new() }
    }
}

impl Default for Acme {
    fn default() -> Acme {
        Acme {
            enabled: false,
            challenge: AcmeChallenge::TlsAlpn01,
            directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
            contact: Vec::new(),
            root: None,
        }
    }
}

impl Default for Storage {
    fn default() -> Storage {
        Storage { url: "sqlite:wello.db".into(), connections: 8 }
    }
}

impl Default for Auth {
    fn default() -> Auth {
        let mechanisms = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "PLAIN"];
        Auth {
            mechanisms: mechanisms.map(str::to_owned).to_vec(),
            scram_iterations: 10_000,
            registration: Registration::Invite,
            max_failures: 20,
            failure_window_seconds: 300,
            token_days: 21,
            invite_days: 7,
            contact_invites: Audience::Users,
            account_invites: Audience::Admins,
            registrations_per_hour: 10,
            registrations_per_block: 40,
            tombstone_days: 180,
            client_ca: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            stanza_bytes: 256 * 1024,
            depth: 64,
            attributes: 64,
            elements: 4096,
            preauth_stanza_bytes: 8192,
            preauth_elements: 32,
            login_seconds: 60,
            idle_seconds: 300,
            rate_bytes_per_second: 1024 * 1024,
            burst_bytes: 4 * 1024 * 1024,
            admin_rate_bytes_per_second: 0,
            admin_burst_bytes: 0,
            presence_per_minute: 120,
            joins_per_minute: 600,
            requests_per_minute: 3000,
            outbox_bytes: 1024 * 1024,
            connections: 100_000,
            unauthenticated: 10_000,
            unauthenticated_per_address: 1000,
            roster_items: 2000,
        }
    }
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            per_account: 20,
            hibernate_seconds: 600,
            unacked_bytes: 1024 * 1024,
            drain_seconds: 10,
        }
    }
}

impl Default for Archive {
    fn default() -> Archive {
        Archive {
            enabled: true,
            policy: ArchivePolicy::Always,
            keep_days: 0,
            page_size: 50,
            page_max: 250,
        }
    }
}

impl Default for Offline {
    fn default() -> Offline {
        Offline { enabled: true, messages: 1000, bytes: 4 * 1024 * 1024 }
    }
}

impl Default for PubSub {
    fn default() -> PubSub {
        PubSub {
            create: Audience::Users,
            nodes: 200,
            items: 1000,
            item_bytes: 192 * 1024,
            bytes: 32 * 1024 * 1024,
            subscriptions: 10_000,
            affiliations: 1000,
        }
    }
}

impl Default for Rooms {
    fn default() -> Rooms {
        Rooms {
            create: Audience::Users,
            per_account: 100,
            occupants: 5000,
            affiliations: 10_000,
            nick_bytes: 255,
            presence_per_minute: 60,
            history: 100,
            default_history: 20,
            persistent: false,
            public: true,
        }
    }
}

impl Default for Http {
    fn default() -> Http {
        let loopback = || vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
        Http {
            public_url: String::new(),
            trusted_proxies: loopback(),
            metrics_from: loopback(),
            cors_origins: vec!["*".into()],
            body_bytes: 256 * 1024,
            bosh_wait_seconds: 60,
        }
    }
}

impl Default for Uploads {
    fn default() -> Uploads {
        const MEBIBYTE: u64 = 1024 * 1024;
        Uploads {
            enabled: true,
            max_bytes: 100 * MEBIBYTE,
            day_bytes: 1024 * MEBIBYTE,
            account_bytes: 4096 * MEBIBYTE,
            profile_bytes: 10 * MEBIBYTE,
            keep_days: 30,
            s3: None,
        }
    }
}

/// What services that have no regions take.
pub(super) fn s3_region() -> String {
    "us-east-1".into()
}

impl Default for Ptt {
    fn default() -> Ptt {
        Ptt { clip_bytes: 1024 * 1024, clip_seconds: 60, clip_days: 30 }
    }
}

impl Default for Push {
    fn default() -> Push {
        Push {
            with_sender: false,
            with_body: false,
            placeholder: "New message".into(),
            app_server: true,
            private_hosts: Vec::new(),
            root: None,
            fcm: None,
            apns: None,
        }
    }
}

pub(super) fn fcm_endpoint() -> String {
    "https://fcm.googleapis.com".into()
}

pub(super) fn apns_endpoint() -> String {
    "https://api.push.apple.com".into()
}

impl Default for Log {
    fn default() -> Log {
        Log { level: "info".into(), format: LogFormat::Auto }
    }
}

pub(super) fn credentials_hours() -> u32 {
    24
}
