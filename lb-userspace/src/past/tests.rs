use super::*;
use crate::plan::samples::content;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_000_000 + second).expect("a time")
}

/// Content that differs with `number`; some contents come twice.
fn numbered(number: u64) -> Part<Content> {
    let mut content = content();
    content.config.pools[0].backends[0].weight = 1 + (number % 40) as u32;
    Part::new(content)
}

fn earlier(number: u64) -> Earlier {
    let digest = numbered(number).digest();
    Earlier {
        author: format!("author {number}"),
        ..Earlier::unknown(number, number * 3, digest, at(number.cast_signed()))
    }
}

fn by_digest(most: u64) -> impl Fn(Digest) -> Option<Part<Content>> {
    move |digest| (1..=most).map(numbered).find(|content| content.digest() == digest)
}

fn past(most: u64) -> Past {
    Past::new(
        (1..=most).map(earlier).collect(),
        Locked::default(),
        &Past::default(),
        by_digest(most),
    )
}

fn images(past: &Past) -> Vec<ChunkImage> {
    past.written().chunks().map(|(_, image)| image.clone()).collect()
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let written = past(7);
    let read = Past::read(&images(&written)).expect("a whole past");
    assert!(read.says(&written));
    assert_eq!(read.generations().len(), 7);
    for earlier in read.generations() {
        let content = read.content(earlier.intent.content).expect("its content");
        assert_eq!(content, numbered(earlier.intent.generation));
    }
    let digests = |past: &Past| past.written().chunks().map(|(digest, _)| *digest).collect::<Vec<_>>();
    assert_eq!(digests(&read), digests(&written));
}

#[test]
fn newest_generations_are_kept_and_an_equal_content_once() {
    let past = past(100);
    let numbers: Vec<u64> = past
        .generations()
        .iter()
        .map(|earlier| earlier.intent.generation)
        .collect();
    assert_eq!(numbers, (37..=100).collect::<Vec<_>>());
    assert_eq!(past.contents.len(), 40);
}

#[test]
fn generations_before_one_whose_content_is_gone_are_forgotten() {
    let known = by_digest(9);
    let gone = numbered(5).digest();
    let past = Past::new(
        (1..=9).map(earlier).collect(),
        Locked::default(),
        &Past::default(),
        |digest| known(digest).filter(|_| digest != gone),
    );
    let numbers: Vec<u64> = past
        .generations()
        .iter()
        .map(|earlier| earlier.intent.generation)
        .collect();
    assert_eq!(numbers, [6, 7, 8, 9]);
}

#[test]
fn running_generation_is_kept_even_if_nobody_has_its_content() {
    let past = Past::new(vec![earlier(1)], Locked::default(), &Past::default(), |_| None);
    assert_eq!(past.generations().len(), 1);
    assert!(past.content(numbered(1).digest()).is_none());
}

#[test]
fn contents_never_take_more_than_their_room() {
    // What does not repeat does not get smaller.
    let random = |number: u64| {
        let mut content = content();
        let mut random = fastrand::Rng::with_seed(number);
        let pools = (0..900).map(|at| {
            let mut pool = content.config.pools[0].clone();
            let more: Vec<String> = (0..5).map(|_| format!("{:032x}", random.u128(..))).collect();
            pool.name = format!("p{at}-{}", more.concat());
            pool
        });
        content.config.pools = pools.collect();
        Part::new(content)
    };
    let contents: Vec<Part<Content>> = (0..40).map(random).collect();
    let generations = contents.iter().zip(1..).map(|(content, number)| Earlier {
        author: "anna".to_owned(),
        ..Earlier::unknown(number, number, content.digest(), at(0))
    });
    let past = Past::new(generations.collect(), Locked::default(), &Past::default(), |digest| {
        contents.iter().find(|content| content.digest() == digest).cloned()
    });
    let bytes: usize = past.contents.values().map(|packed| packed.len()).sum();
    assert!(bytes <= CONTENTS_BYTES, "{bytes}");
    let kept = past.generations().len();
    assert!((5..40).contains(&kept), "{kept}");
    assert_eq!(past.generations().last().expect("the newest").intent.generation, 40);
    let read = Past::read(&images(&past)).expect("over several chunks");
    assert!(images(&past).len() > 4 && read.says(&past));
}

#[test]
fn next_generation_comes_last_with_its_content_and_what_it_spent() {
    let expense = Expense {
        at: at(8),
        served: BTreeMap::new(),
        broken: 12,
    };
    let mut next = earlier(8);
    next.intent.expense = Some(expense.clone());
    let past = past(7).followed_by(next, by_digest(8));
    assert_eq!(past.generations().last().expect("it").intent.generation, 8);
    assert_eq!(past.content(numbered(8).digest()), Some(numbered(8)));
    assert_eq!(past.locked().expenses, [expense]);
    let confirmed = past.settled(Locked::default(), true);
    assert!(confirmed.generations().last().expect("it").confirmed && !past.says(&confirmed));
}

#[test]
fn damage_of_any_byte_is_no_past_and_never_another_one() {
    let written = past(5);
    let images = images(&written);
    assert_eq!(images.len(), 1);
    let length = u64::from_le_bytes(images[0].bytes()[..8].try_into().expect("eight bytes")) as usize + 8;
    let mut random = fastrand::Rng::with_seed(6);
    for byte in 0..length {
        let mut damaged = images[0].clone();
        damaged.bytes_mut()[byte] ^= 1 << random.u32(..8);
        let read = Past::read(&[damaged]);
        assert!(read.is_none(), "byte {byte} of {length}");
    }
    assert!(Past::read(&[]).is_none());
    assert!(Past::read(&[ChunkImage::zeroed()]).is_none());
    let cut = ChunkImage::from_bytes(&images[0].bytes()[..length / 2]);
    assert!(Past::read(&[cut]).is_none());
}
