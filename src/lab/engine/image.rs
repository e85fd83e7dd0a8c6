//! What stands in a prompt: tokens, and pieces of images in the places that hold room for them.

use sha2::{Digest, Sha256};

/// The token that holds the place of a patch.
pub const PATCH_TOKEN: u32 = 13;
/// Pixels in a row of a patch, and rows.
const SIDE: usize = 8;
/// Numbers in a patch: red, green and blue of each pixel, row after row.
pub const PATCH: usize = SIDE * SIDE * 3;

/// An image as the model reads it: 8-bit RGB, width and height multiples of 8, a patch token in the prompt for each square of
/// 8 by 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row after row.
    pub rgb: Vec<u8>,
}

/// What stands at one place of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A token.
    Token(u32),
    /// A square of an image.
    Patch(Patch),
}

/// A square of an image as the model sees it among the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// What stands in the prompt, in the place of its token's embedding.
    pub numbers: Box<[f32]>,
    /// A number that tells it from all others.
    pub mark: u64,
}

impl Image {
    /// Squares in a row.
    pub fn columns(&self) -> usize {
        self.width / SIDE
    }

    /// Its squares of 8 by 8 in reading order; pixels that are not there are black.
    pub fn patches(&self) -> impl Iterator<Item = Box<[u8; PATCH]>> {
        let columns = self.columns();
        (0..columns * (self.height / SIDE)).map(move |index| {
            let mut patch = Box::new([0; PATCH]);
            let (left, top) = (index % columns * SIDE, index / columns * SIDE);
            for (row, out) in patch.chunks_exact_mut(SIDE * 3).enumerate() {
                let start = ((top + row) * self.width + left) * 3;
                if let Some(pixels) = self.rgb.get(start..start + SIDE * 3) {
                    out.copy_from_slice(pixels);
                }
            }
            patch
        })
    }

    /// For each of its squares a number that tells it from all others, and from those of all other images: what is seen of a
    /// square depends on the whole.
    pub fn marks(&self) -> impl Iterator<Item = u64> {
        let whole = Sha256::new_with_prefix((self.width as u64).to_le_bytes())
            .chain_update((self.height as u64).to_le_bytes())
            .chain_update(&self.rgb);
        (0..self.columns() * (self.height / SIDE)).map(move |index| {
            let digest: [u8; 32] = whole.clone().chain_update((index as u64).to_le_bytes()).finalize().into();
            // Above all tokens, which have 32 bits.
            digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) | 1 << 63
        })
    }
}

impl Piece {
    /// A prompt's tokens with the squares of its images in their places; places without an image keep their token.
    pub fn of_prompt(tokens: &[u32], patches: impl IntoIterator<Item = Patch>) -> Vec<Self> {
        let mut patches = patches.into_iter();
        let piece = |token: &u32| match *token {
            PATCH_TOKEN => patches.next().map_or(Self::Token(PATCH_TOKEN), Self::Patch),
            token => Self::Token(token),
        };
        tokens.iter().map(piece).collect()
    }

    /// A number that tells it from all others.
    pub fn mark(&self) -> u64 {
        match self {
            Self::Token(token) => u64::from(*token),
            Self::Patch(patch) => patch.mark,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn image(width: usize, height: usize) -> Image {
        Image { width, height, rgb: (0..width * height * 3).map(|n| (n / 3) as u8).collect() }
    }

    #[test]
    fn squares_come_in_reading_order_with_their_colours_side_by_side() {
        let patches: Vec<_> = image(16, 16).patches().collect();
        assert_eq!(patches.len(), 4);
        assert_eq!(patches[0][..6], [0, 0, 0, 1, 1, 1]);
        assert_eq!((patches[1][0], patches[2][0], patches[0][SIDE * 3]), (8, 128, 16));
    }

    #[test]
    fn pixels_that_are_not_there_are_black() {
        let broken = Image { rgb: vec![1; 5], ..image(8, 8) };
        assert_eq!(broken.patches().collect::<Vec<_>>(), [Box::new([0; PATCH])]);
    }

    #[test]
    fn squares_take_the_places_that_wait_for_them_and_no_others() {
        let patch = Patch { numbers: [1.0].into(), mark: 9 };
        let pieces = Piece::of_prompt(&[5, 13, 13, 6], [patch.clone()]);
        assert_eq!(pieces, [Piece::Token(5), Piece::Patch(patch.clone()), Piece::Token(PATCH_TOKEN), Piece::Token(6)]);
        assert_eq!(Piece::of_prompt(&[5], [patch]), [Piece::Token(5)]);
        assert_eq!(pieces.iter().map(Piece::mark).collect::<Vec<_>>(), [5, 9, 13, 6]);
    }

    #[test]
    fn other_pixels_and_other_sizes_change_the_marks_of_all_squares() {
        let marks = |image: &Image| image.marks().collect::<Vec<_>>();
        let (one, mut changed) = (image(16, 8), image(16, 8));
        changed.rgb[300] ^= 1;
        let turned = Image { width: 8, height: 16, ..one.clone() };
        assert_eq!(marks(&one), marks(&one.clone()));
        let all: BTreeSet<u64> = [&one, &changed, &turned].into_iter().flat_map(marks).collect();
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|mark| *mark > u64::from(u32::MAX)));
    }
}
