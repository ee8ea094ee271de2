//! Bits, the highest of an octet first.

/// Reads them; `None` behind the end.
pub struct Bits<'a> {
    octets: &'a [u8],
    pub at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(octets: &'a [u8]) -> Bits<'a> {
        Bits::behind(octets, 0)
    }

    /// Those behind so many.
    pub fn behind(octets: &'a [u8], at: usize) -> Bits<'a> {
        Bits { octets, at }
    }

    pub fn flag(&mut self) -> Option<bool> {
        let octet = self.octets.get(self.at / 8)?;
        let bit = octet >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// f(n): 32 at the most.
    pub fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// ns(n): one of so many values, of which the lower ones take a bit less.
    pub fn one_of(&mut self, values: u32) -> Option<u32> {
        let width = u32::BITS - values.leading_zeros();
        let short = (1 << width) - values;
        let value = self.take(width.saturating_sub(1) as usize)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)?)
    }
}

/// Appends them; what is left of the last octet is zero.
pub struct Writer<'a> {
    to: &'a mut Vec<u8>,
    free: u32,
}

impl<'a> Writer<'a> {
    pub fn new(to: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { to, free: 0 }
    }

    pub fn flag(&mut self, bit: bool) {
        if self.free == 0 {
            self.to.push(0);
            self.free = 8;
        }
        self.free -= 1;
        if let Some(last) = self.to.last_mut() {
            *last |= u8::from(bit) << self.free;
        }
    }

    /// The lowest so many bits.
    pub fn put(&mut self, value: u32, count: usize) {
        (0..count).rev().for_each(|place| self.flag(value >> place & 1 == 1));
    }

    /// Those from one place to another; what is behind the end is left out.
    pub fn copy(&mut self, octets: &[u8], from: usize, until: usize) {
        let mut bits = Bits::behind(octets, from);
        while bits.at < until
            && let Some(bit) = bits.flag()
        {
            self.flag(bit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_five_values_three_take_two_bits() {
        let read = |octet: u8| {
            let octets = [octet];
            let mut bits = Bits::new(&octets);
            bits.one_of(5).map(|value| (value, bits.at))
        };
        let all = [0b0000_0000, 0b0100_0000, 0b1000_0000, 0b1100_0000, 0b1110_0000].map(read);
        assert_eq!(all, [(0, 2), (1, 2), (2, 2), (3, 3), (4, 3)].map(Some));
        assert_eq!((Bits::new(&[]).one_of(1), Bits::new(&[]).one_of(2)), (Some(0), None));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut to = vec![9];
        let mut writer = Writer::new(&mut to);
        writer.put(0b101, 3);
        writer.put(0xabcd, 16);
        writer.copy(&[0b0011_0100], 2, 6);
        assert_eq!(to, [9, 0b1011_0101, 0b0111_1001, 0b1011_1010]);
        let mut bits = Bits::new(&to[1..]);
        assert_eq!((bits.take(3), bits.take(16), bits.take(5)), (Some(5), Some(0xabcd), Some(26)));
        assert_eq!(bits.take(1), None);
    }
}
