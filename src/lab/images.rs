//! Images on their way to the model: from a data URL to pixels, and from those to whole patches. Pure.

use std::fmt;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::engine::Image;

/// Pixels in a row of a patch, and rows.
pub const PATCH: usize = 8;
/// What an image measures at least, and at most, when the model sees it.
const SMALLEST: usize = 16;
const LARGEST: usize = 64;
/// The most pixels that are decoded: compressed, a small request could hold a huge image.
const MOST_PIXELS: usize = 1 << 20;
const CHANNELS: usize = 3;

/// An image as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl fmt::Debug for Picture {
    /// Its size and a digest: pixels by the thousand say nothing, and requests are told apart by this text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest: [u8; 32] = Sha256::digest(&self.rgb).into();
        write!(f, "Picture({} x {}, {digest:x?})", self.width, self.height)
    }
}

/// Why an image cannot be read.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The image is elsewhere.
    #[error("this host fetches no images: send them as `data:image/png;base64,…`")]
    Elsewhere,
    /// It is no PNG, as far as the URL says.
    #[error("images must be PNG, as `data:image/png;base64,…`")]
    Type,
    /// It is not base64.
    #[error("the image is not in base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// It cannot be decoded.
    #[error("the image cannot be decoded: {0}")]
    Png(#[from] png::DecodingError),
    /// It is too large.
    #[error("an image has at most {MOST_PIXELS} pixels")]
    Large,
}

impl Picture {
    /// Reads a `data:` URL.
    pub fn from_url(url: &str) -> Result<Self, PictureError> {
        let data = url.strip_prefix("data:").ok_or(PictureError::Elsewhere)?;
        let base64 = data.strip_prefix("image/png;base64,").ok_or(PictureError::Type)?;
        Self::from_png(&STANDARD.decode(base64.trim())?)
    }

    fn from_png(bytes: &[u8]) -> Result<Self, PictureError> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info()?;
        let (width, height) = (reader.info().width as usize, reader.info().height as usize);
        if width.saturating_mul(height) > MOST_PIXELS {
            return Err(PictureError::Large);
        }
        let mut pixels = vec![0; reader.output_buffer_size().ok_or(PictureError::Large)?];
        let frame = reader.next_frame(&mut pixels)?;
        pixels.truncate(frame.buffer_size());
        let samples = frame.color_type.samples();
        let rgb = pixels.chunks_exact(samples).flat_map(on_white).collect();
        Ok(Self { width, height, rgb })
    }

    /// What the model sees: smaller by `shrink`, then scaled down to fit, then filled up to whole patches.
    pub fn prepared(&self, shrink: usize) -> Image {
        let longer = self.width.max(self.height).max(1);
        let mut size = [self.width, self.height].map(|length| (length / shrink.max(1)).max(1));
        if longer / shrink.max(1) > LARGEST {
            size = [self.width, self.height].map(|length| (length * LARGEST / longer).max(1));
        }
        let scaled = self.scaled(size);
        let full = size.map(|length| length.next_multiple_of(PATCH).max(SMALLEST));
        // What is added repeats the border.
        let rgb = (0..full[1]).flat_map(|y| {
            let row = y.min(size[1] - 1) * size[0];
            let scaled = &scaled;
            (0..full[0]).flat_map(move |x| pixel(scaled, row + x.min(size[0] - 1)))
        });
        Image { width: full[0], height: full[1], rgb: rgb.collect() }
    }

    /// The picture in another size, no larger: each pixel the mean of those that it stands for.
    fn scaled(&self, [width, height]: [usize; 2]) -> Vec<u8> {
        let span = |at: usize, to: usize, from: usize| at * from / to..((at + 1) * from / to).max(at * from / to + 1);
        let mean = |x: usize, y: usize| {
            let (rows, columns) = (span(y, height, self.height), span(x, width, self.width));
            let (mut sums, mut count) = ([0_usize; CHANNELS], 0);
            for at in rows.flat_map(|row| columns.clone().map(move |column| row * self.width + column)) {
                count += 1;
                for (sum, value) in sums.iter_mut().zip(pixel(&self.rgb, at)) {
                    *sum += usize::from(value);
                }
            }
            sums.map(|sum| ((sum + count / 2) / count.max(1)) as u8)
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| mean(x, y))).collect()
    }
}

fn pixel(rgb: &[u8], at: usize) -> [u8; CHANNELS] {
    rgb.get(at * CHANNELS..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}

/// A pixel of grey or colour, with or without transparency, as it looks on white.
fn on_white(samples: &[u8]) -> [u8; CHANNELS] {
    let over = |value: u8, opacity: u8| {
        let (value, opacity) = (u32::from(value), u32::from(opacity));
        ((value * opacity + 255 * (255 - opacity) + 127) / 255) as u8
    };
    match *samples {
        [grey] => [grey; CHANNELS],
        [grey, opacity] => [over(grey, opacity); CHANNELS],
        [r, g, b, opacity] => [r, g, b].map(|value| over(value, opacity)),
        [r, g, b, ..] => [r, g, b],
        [] => [0; CHANNELS],
    }
}

/// Patches of an image.
pub fn patches(image: &Image) -> usize {
    image.width / PATCH * (image.height / PATCH)
}

/// The marks that stand for an image in a prompt.
pub fn marker(image: &Image) -> String {
    let row = format!("{}{ROW}", PLACE.repeat(image.width / PATCH));
    format!("{IMAGE}{}\n", row.repeat(image.height / PATCH))
}

/// Begins an image in a prompt.
pub const IMAGE: &str = "<|image|>";
/// Ends a row of patches.
pub const ROW: &str = "<|row|>";
/// Stands for a patch.
pub const PLACE: &str = "<|patch|>";

/// What is left of images when only the last `kept` of their patches are: whole ones, and of the first its last patches in a
/// row, since where they stood is lost with their marks.
pub fn last_patches(images: Vec<Image>, kept: usize) -> Vec<Image> {
    let mut excess = images.iter().map(patches).sum::<usize>().saturating_sub(kept);
    let mut left = Vec::new();
    for image in images {
        let count = patches(&image);
        if excess == 0 {
            left.push(image);
        } else if excess >= count {
            excess -= count;
        } else {
            left.push(strip(&image, excess));
            excess = 0;
        }
    }
    left
}

/// The patches of an image from this one on, side by side.
fn strip(image: &Image, from: usize) -> Image {
    let across = image.width / PATCH;
    let width = (patches(image) - from) * PATCH;
    let at = |y: usize, x: usize| {
        let patch = from + x / PATCH;
        let (column, row) = (patch % across * PATCH + x % PATCH, patch / across * PATCH + y);
        pixel(&image.rgb, row * image.width + column)
    };
    let rgb = (0..PATCH).flat_map(|y| (0..width).flat_map(move |x| at(y, x))).collect();
    Image { width, height: PATCH, rgb }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A PNG of this size as a data URL, its pixels from `paint`.
    pub fn data_url(width: u32, height: u32, paint: impl Fn(u32, u32) -> [u8; 3]) -> String {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let pixels: Vec<u8> =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| paint(x, y)).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        format!("data:image/png;base64,{}", STANDARD.encode(bytes))
    }

    fn picture(width: u32, height: u32) -> Picture {
        Picture::from_url(&data_url(width, height, |x, y| [x as u8, y as u8, 7])).unwrap()
    }

    #[test]
    fn a_picture_that_fits_is_seen_as_it_is() {
        let seen = picture(32, 16).prepared(1);
        assert_eq!((seen.width, seen.height, patches(&seen)), (32, 16, 8));
        assert_eq!(pixel(&seen.rgb, 32 * 5 + 9), [9, 5, 7]);
        assert_eq!(
            marker(&seen),
            "<|image|><|patch|><|patch|><|patch|><|patch|><|row|><|patch|><|patch|><|patch|><|patch|><|row|>\n"
        );
    }

    #[test]
    fn others_are_scaled_down_and_filled_up_to_whole_patches() {
        for ((width, height), shrink, seen) in [
            ((200, 100), 1, (64, 32)),
            ((1, 1), 1, (16, 16)),
            ((20, 33), 1, (24, 40)),
            ((64, 64), 2, (32, 32)),
            ((48, 32), 4, (16, 16)),
            ((300, 3), 1, (64, 16)),
        ] {
            let image = picture(width, height).prepared(shrink);
            assert_eq!((image.width, image.height), seen, "{width} x {height} / {shrink}");
            assert_eq!(image.rgb.len(), image.width * image.height * CHANNELS);
        }
        let halved = picture(64, 64).prepared(2);
        assert_eq!(pixel(&halved.rgb, 32 * 3 + 2), [5, 7, 7], "the mean of four");
        let padded = picture(20, 20).prepared(1);
        assert_eq!(pixel(&padded.rgb, 23), [19, 0, 7], "the border goes on");
    }

    #[test]
    fn what_is_no_png_here_is_refused() {
        for (url, said) in [
            ("https://example.com/a.png", "fetches no images"),
            ("data:image/jpeg;base64,AAAA", "must be PNG"),
            ("data:image/png;base64,!", "base64"),
            ("data:image/png;base64,AAAA", "decoded"),
            (&data_url(2_000, 600, |_, _| [0; 3]), "at most"),
        ] {
            let message = Picture::from_url(url).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn transparency_shows_white_and_grey_is_a_colour() {
        assert_eq!(on_white(&[10]), [10; 3]);
        assert_eq!(on_white(&[10, 0]), [255; 3]);
        assert_eq!(on_white(&[10, 20, 30, 255]), [10, 20, 30]);
        assert_eq!(on_white(&[0, 0, 0, 128]), [127; 3]);
    }

    #[test]
    fn of_images_that_are_cut_the_last_patches_stay() {
        let images = vec![picture(16, 16).prepared(1), picture(24, 16).prepared(1)];
        let counts = |kept| last_patches(images.clone(), kept).iter().map(patches).collect::<Vec<_>>();
        assert_eq!([counts(10), counts(9), counts(6), counts(2)], [vec![4, 6], vec![3, 6], vec![6], vec![2]]);
        assert!(counts(0).is_empty());
        let strip = &last_patches(images.clone(), 2)[0];
        assert_eq!((strip.width, strip.height), (16, 8));
        assert_eq!(pixel(&strip.rgb, 0), [8, 8, 7], "the second patch of the second row");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), keep in 0_usize..80) {
            let _ = Picture::from_png(&bytes);
            let whole = STANDARD.decode(data_url(9, 9, |x, y| [x as u8, y as u8, 1]).rsplit(',').next().unwrap()).unwrap();
            let mut broken = whole.clone();
            broken.truncate(keep.min(whole.len()));
            broken.extend_from_slice(&bytes);
            let _ = Picture::from_png(&broken);
        }

        #[test]
        fn every_size_becomes_whole_patches(width in 1_u32..150, height in 1_u32..150, shrink in 1_usize..5) {
            let image = picture(width, height).prepared(shrink);
            for length in [image.width, image.height] {
                prop_assert!(length % PATCH == 0 && (SMALLEST..=LARGEST).contains(&length), "{length}");
            }
            prop_assert_eq!(image.rgb.len(), image.width * image.height * CHANNELS);
        }
    }
}
