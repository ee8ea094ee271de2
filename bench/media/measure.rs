//! Loads of media between two looks at the server's CPU time.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{Calls, Dialect, Halls, Shape, janus};
use crate::{
    idle,
    measure::{Clock, IdleMemory, Latency, Measurement, Subject},
};

/// Packets a second of each sender while the others join: an easy camera.
const EASY: f64 = 100.0;
/// Before the measured round: estimates rise, buffers grow.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long a server may stay busy with handshakes.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Forwarding {
    /// Packets a second of each sender.
    pub(crate) rate: f64,
    /// Packets that did not arrive.
    pub(crate) lost: u64,
    /// In which a focus was spoken with, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<Dialect>,
}

impl Subject {
    /// Packets forwarded to receivers, `rate` a second of each sender.
    pub(crate) async fn forwarding(
        &self,
        shape: Shape,
        rate: f64,
        time: Duration,
    ) -> Result<Measurement> {
        let mut calls = self.calls(shape).await?;
        calls.round(rate, WARM_UP).await?;
        self.forward(&mut calls, rate, time).await
    }

    /// The same at half of what one processor would carry.
    pub(crate) async fn forwarding_latency(
        &self,
        shape: Shape,
        rate: f64,
        time: Duration,
    ) -> Result<Measurement> {
        let mut calls = self.calls(shape).await?;
        calls.round(rate, WARM_UP).await?;
        let probe = self.forward(&mut calls, rate, time / 4).await?;
        let full = probe.per_cpu_s.context("half of what is unknown without the server's --pid")?;
        let receivers = shape.participants as f64 - 1.0;
        let rate = full / 2.0 / (receivers * (shape.senders * shape.conferences) as f64);
        self.forward(&mut calls, rate, time).await
    }

    /// From joining a call to the first packet of somebody who is sending.
    pub(crate) async fn joining(&self, shape: Shape) -> Result<Measurement> {
        let halls = Halls::open(&self.client, &self.accounts, shape).await?;
        let clock = Clock::start(self.process).await?;
        let begin = tokio::time::Instant::now();
        let calls = halls.join(EASY).await?;
        let joined = (shape.conferences * shape.participants) as u64;
        let measured = clock.stop(joined, begin.elapsed())?;
        let latency = Latency::of(measured.per_wall_s, &calls.first());
        Ok(Measurement { latency_ms: Some(latency), ..measured })
    }

    /// Memory of participants to whom nothing is sent.
    pub(crate) async fn idle_calls(&self, shape: Shape) -> Result<Measurement> {
        let process = self.process.context("memory cannot be read without the server's --pid")?;
        let halls = Halls::open(&self.client, &self.accounts, shape).await?;
        let clock = Clock::start(self.process).await?;
        let (before, begin) = (process.memory()?, tokio::time::Instant::now());
        let _calls = halls.join(0.0).await?;
        let opening = begin.elapsed();
        process.quiet(QUIET).await?;
        let joined = (shape.conferences * shape.participants) as u64;
        let memory = IdleMemory::of(before, process.memory()?, joined);
        Ok(Measurement { memory: Some(memory), ..clock.stop(joined, opening)? })
    }

    async fn calls(&self, shape: Shape) -> Result<Calls> {
        // Each has a socket, and each participant has a stream.
        idle::raise_file_limit(shape.conferences * (shape.transports() + shape.participants))?;
        match self.videoroom {
            Some(server) => janus::join(server, shape, EASY).await,
            None => Halls::open(&self.client, &self.accounts, shape).await?.join(EASY).await,
        }
    }

    async fn forward(&self, calls: &mut Calls, rate: f64, time: Duration) -> Result<Measurement> {
        let clock = Clock::start(self.process).await?;
        let round = calls.round(rate, time).await?;
        let measured = clock.stop(round.received, round.wall)?;
        let dialect = self.videoroom.is_none().then_some(calls.shape.dialect);
        Ok(Measurement {
            latency_ms: Some(Latency::of(measured.per_wall_s, &round.latency)),
            forwarding: Some(Forwarding { rate, lost: round.lost, dialect }),
            ..measured
        })
    }
}
