//! The numbers of a tensor out of its bytes, in each format that the engine serves. Pure.

use half::f16;

use super::super::matrix::{BLOCK, WeightFormat};

/// The format that files know by this code.
pub fn of_code(code: u32) -> Option<WeightFormat> {
    WeightFormat::ALL.into_iter().find(|format| self::code(*format) == code)
}

/// What files call a format.
pub fn code(format: WeightFormat) -> u32 {
    match format {
        WeightFormat::F32 => 0,
        WeightFormat::F16 => 1,
        WeightFormat::Q4_0 => 2,
        WeightFormat::Q5_0 => 6,
        WeightFormat::Q8_0 => 8,
    }
}

/// The bytes of 32 numbers.
pub fn block_bytes(format: WeightFormat) -> usize {
    match format {
        WeightFormat::F32 => 4 * BLOCK,
        WeightFormat::F16 => 2 * BLOCK,
        WeightFormat::Q4_0 => 2 + BLOCK / 2,
        WeightFormat::Q5_0 => 2 + 4 + BLOCK / 2,
        WeightFormat::Q8_0 => 2 + BLOCK,
    }
}

/// The numbers that whole blocks of bytes stand for, exactly.
pub fn decode(format: WeightFormat, bytes: &[u8]) -> Vec<f32> {
    let blocks = bytes.chunks_exact(block_bytes(format));
    let mut numbers = Vec::with_capacity(blocks.len() * BLOCK);
    for block in blocks {
        match format {
            WeightFormat::F32 => numbers.extend(block.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
            WeightFormat::F16 => numbers.extend(block.as_chunks().0.iter().map(|bytes| half(*bytes))),
            WeightFormat::Q8_0 => {
                let scale = half([block[0], block[1]]);
                numbers.extend(block[2..].iter().map(|byte| f32::from(byte.cast_signed()) * scale));
            }
            WeightFormat::Q4_0 => {
                let scale = half([block[0], block[1]]);
                numbers.extend(nibbles(&block[2..]).map(|number| f32::from(number - 8) * scale));
            }
            WeightFormat::Q5_0 => {
                let scale = half([block[0], block[1]]);
                let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
                let bits = (0..BLOCK).map(|bit| if fifth >> bit & 1 == 1 { 16 } else { 0 });
                numbers.extend(nibbles(&block[6..]).zip(bits).map(|(low, high)| f32::from(low + high - 16) * scale));
            }
        }
    }
    numbers
}

/// The lower halves of all bytes, then the upper ones.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = i8> {
    let lower = bytes.iter().map(|byte| byte & 15);
    lower.chain(bytes.iter().map(|byte| byte >> 4)).map(u8::cast_signed)
}

fn half(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn blocks_hold_what_candle_says_that_they_hold() {
        let numbers: Vec<f32> = (0..256_u16).map(|n| (f32::from(n) * 0.37).sin() * f32::from(n % 7)).collect();
        let tensor = Tensor::from_vec(numbers, (4, 64), &Device::Cpu).unwrap();
        for (format, theirs) in [
            (WeightFormat::F32, GgmlDType::F32),
            (WeightFormat::F16, GgmlDType::F16),
            (WeightFormat::Q4_0, GgmlDType::Q4_0),
            (WeightFormat::Q5_0, GgmlDType::Q5_0),
            (WeightFormat::Q8_0, GgmlDType::Q8_0),
        ] {
            let blocks = QTensor::quantize(&tensor, theirs).unwrap();
            let expected = blocks.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(decode(format, &blocks.data().unwrap()), expected, "{format}");
            assert_eq!(of_code(code(format)), Some(format));
            assert_eq!(block_bytes(format), theirs.type_size() * (BLOCK / theirs.block_size()), "{format}");
        }
        assert_eq!(of_code(12), None);
    }
}
