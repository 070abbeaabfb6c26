//! One frame on its way to or from the bus.

use bms_core::safety::frame::Heard;
use bms_core::safety::link;
use embedded_can::StandardId;

/// A classic CAN frame with an identifier of 11 bits and up to 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    id: StandardId,
    data: [u8; 8],
    length: u8,
}

impl Frame {
    /// A frame that was received; none with more than 8 bytes.
    ///
    /// ```
    /// use bms_can::Frame;
    /// use embedded_can::StandardId;
    ///
    /// let frame = Frame::new(StandardId::new(0x355).unwrap(), &[0x1A, 0, 0x64, 0]).unwrap();
    /// assert_eq!((frame.id().as_raw(), frame.data().len()), (0x355, 4));
    /// ```
    #[must_use]
    pub fn new(id: StandardId, data: &[u8]) -> Option<Self> {
        let mut frame = Self { id, data: [0; 8], length: u8::try_from(data.len()).ok()? };
        frame.data.get_mut(..data.len())?.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        Some(frame)
    }

    /// A message of the generated codec, whose length is known.
    pub(crate) fn sized<const L: usize>(id: StandardId, raw: &[u8; L]) -> Self {
        const { assert!(L <= 8) };
        let mut data = [0; 8];
        data.iter_mut().zip(raw).for_each(|(to, from)| *to = *from);
        Self { id, data, length: L as u8 }
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> StandardId {
        self.id
    }

    /// Its bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Counter and check sum of a protected message, for the monitors of the links.
    #[must_use]
    pub fn heard(&self) -> Heard {
        link::check(self.data(), self.id.as_raw())
    }

    pub(crate) fn protect(&mut self, counter: u8) {
        let id = self.id.as_raw();
        link::protect(self.data.get_mut(..usize::from(self.length)).unwrap_or_default(), id, counter);
    }
}
