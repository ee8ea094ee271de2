//! Writes Opus in Ogg (RFC 3533, RFC 7845) while it is recorded.

use std::io::{self, Write};

use super::opus;
use crate::ptt::ogg_checksum;

/// RFC 3533, section 6: a page begins the stream, or ends it.
const FIRST: u8 = 2;
const LAST: u8 = 4;
/// A second of packets: what a page that is not written yet may lose.
const MAX_PACKETS: usize = 50;
const MAX_LACING: usize = 255;
const STREAM: u32 = 1;

pub struct Ogg<W> {
    out: W,
    number: u32,
    /// Samples up to the end of the last packet.
    granule: u64,
    lacing: Vec<u8>,
    body: Vec<u8>,
    packets: usize,
}

impl<W: Write> Ogg<W> {
    pub fn begin(out: W) -> io::Result<Ogg<W>> {
        let (lacing, body) = (Vec::new(), Vec::new());
        let mut ogg = Ogg { out, number: 0, granule: 0, lacing, body, packets: 0 };
        for (flags, packet) in [(FIRST, opus::head()), (0, opus::tags())] {
            ogg.put(&packet)?;
            ogg.page(flags)?;
        }
        Ok(ogg)
    }

    /// `end`: samples from the beginning of the file to the end of this packet.
    pub fn write(&mut self, packet: &[u8], end: u64) -> io::Result<()> {
        if self.packets == MAX_PACKETS || self.lacing.len() + packet.len() / 255 + 1 > MAX_LACING {
            self.page(0)?;
        }
        self.put(packet)?;
        self.packets += 1;
        self.granule = end.max(self.granule);
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        if self.packets > 0 {
            self.page(0)?;
        }
        self.out.flush()
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.page(LAST)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, packet: &[u8]) -> io::Result<()> {
        if packet.len() >= 255 * MAX_LACING {
            return Err(io::Error::other("no packet of Opus is so long"));
        }
        self.lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.lacing.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        Ok(())
    }

    fn page(&mut self, flags: u8) -> io::Result<()> {
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend(self.granule.to_le_bytes());
        page.extend(STREAM.to_le_bytes());
        page.extend(self.number.to_le_bytes());
        page.extend([0; 4]);
        // No more than MAX_LACING.
        page.push(self.lacing.len() as u8);
        page.append(&mut self.lacing);
        page.append(&mut self.body);
        let sum = ogg_checksum(&page);
        page[22..26].copy_from_slice(&sum);
        self.number += 1;
        self.packets = 0;
        self.out.write_all(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptt::opus_of_ogg;

    #[test]
    fn what_is_written_is_read_again() {
        let mut ogg = Ogg::begin(Vec::new()).unwrap();
        // 20 ms each: the first octet says so.
        let packets: Vec<Vec<u8>> = (0..120_usize)
            .map(|place| [&[0xf8][..], &vec![place as u8; place * 5]].concat())
            .collect();
        for (place, packet) in (1..).zip(&packets) {
            ogg.write(packet, place * 960).unwrap();
        }
        let cut_off = ogg.out.clone();
        let file = ogg.finish().unwrap();
        assert_eq!(opus_of_ogg(&file).unwrap(), packets);
        // Whole pages were written when it was cut off.
        assert_eq!(opus_of_ogg(&cut_off).unwrap(), packets[..100]);
    }
}
