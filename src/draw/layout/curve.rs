//! The smooth way of a line along its points: a uniform B-spline that begins at the first and ends at the last.

use super::Point;

/// A Bézier curve: where it ends, and before that what pulls it there.
pub(in crate::draw) type Piece = [Point; 3];

/// The way along the points: where the curve begins after a straight piece from the first point, and its pieces. From the
/// last of them a straight piece leads to the last point.
pub(in crate::draw) fn pieces(points: &[Point]) -> (Option<Point>, Vec<Piece>) {
    let [first, second, _, ..] = points else { return (None, Vec::new()) };
    let mix = |a: Point, b: Point, c: Point, weights: [f64; 3]| {
        let [wa, wb, wc] = weights.map(|weight| weight / 6.0);
        (a.0 * wa + b.0 * wb + c.0 * wc, a.1 * wa + b.1 * wb + c.1 * wc)
    };
    let begin = mix(*first, *second, *first, [5.0, 1.0, 0.0]);
    let pieces = (1..points.len()).map(|at| {
        let (one, two) = (points[at - 1], points[at]);
        let three = points.get(at + 1).copied().unwrap_or(two);
        [
            mix(one, two, three, [4.0, 2.0, 0.0]),
            mix(one, two, three, [2.0, 4.0, 0.0]),
            mix(one, two, three, [1.0, 4.0, 1.0]),
        ]
    });
    (Some(begin), pieces.collect())
}

/// The way as short straight pieces.
pub(in crate::draw) fn flattened(points: &[Point]) -> Vec<Point> {
    const STEPS: u32 = 6;
    let (Some(begin), pieces) = pieces(points) else { return points.to_vec() };
    let mut way: Vec<Point> = points.first().copied().into_iter().chain([begin]).collect();
    let mut from = begin;
    for [p, q, to] in pieces {
        for step in 1..=STEPS {
            let t = f64::from(step) / f64::from(STEPS);
            let s = 1.0 - t;
            let [a, b, c, d] = [s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t];
            way.push((from.0 * a + p.0 * b + q.0 * c + to.0 * d, from.1 * a + p.1 * b + q.1 * c + to.1 * d));
        }
        from = to;
    }
    way.extend(points.last());
    way
}
