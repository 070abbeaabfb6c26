//! Pictures of many points inside drawings: PNG as a data URI, where an SVG of rectangles would be megabytes.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// A picture of `width` columns, three bytes (red, green, blue) for every point, row after row from the top.
#[derive(Debug)]
pub(super) struct Raster {
    pub(super) width: usize,
    pub(super) rgb: Vec<u8>,
}

impl Raster {
    /// As the value of an `href`.
    pub(super) fn data_uri(&self) -> String {
        format!("data:image/png;base64,{}", base64(&self.png()))
    }

    /// PNG, ISO/IEC 15948:2004: 8-bit truecolour, rows without a filter.
    fn png(&self) -> Vec<u8> {
        let row_bytes = 3 * self.width.max(1);
        let rows = self.rgb.len() / row_bytes;
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
        let header = [size(self.width).as_slice(), &size(rows), &[8, 2, 0, 0, 0]].concat();
        chunk(&mut png, b"IHDR", &header);
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.rgb.chunks_exact(row_bytes) {
            let written = packed.write_all(&[0]).and_then(|()| packed.write_all(row));
            written.expect("writing into memory does not fail");
        }
        chunk(&mut png, b"IDAT", &packed.finish().expect("writing into memory does not fail"));
        chunk(&mut png, b"IEND", &[]);
        png
    }
}

/// Length, kind, content and checksum.
fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(content);
    png.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    png.extend(kind);
    png.extend(content);
    png.extend(crc.sum().to_be_bytes());
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |k: usize| u32::from(three.get(k).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for k in 0..4 {
            let digit = (bits >> (18 - 6 * k)) & 63;
            out.push(if k > three.len() { '=' } else { char::from(DIGITS[digit as usize]) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_picture_begins_and_ends_as_a_png_and_holds_its_points() {
        let rgb = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
        let png = Raster { width: 2, rgb }.png();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x02\x08\x02\0\0\0"));
        // The closing chunk with its checksum is the same in every PNG.
        assert!(png.ends_with(b"\0\0\0\0IEND\xaeB`\x82"));
        let data = png.windows(4).position(|w| w == b"IDAT").unwrap() + 4;
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&png[data..]).read_to_end(&mut rows).unwrap();
        assert_eq!(rows, [0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255, 9, 9, 9]);
    }
}
