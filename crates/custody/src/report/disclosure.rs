//! Which numbers of a table may be shown, so that nobody is recognised by a small one.
//!
//! A number from 1 to 4 is not shown. Beside it so many others are held back that no hidden number can be worked out from
//! those shown: every row adds up to its sum, every column to its total, and whoever reads the table can subtract. A
//! zero is shown, it is about nobody. Guarantees: from the sums of rows and columns alone, knowing that what is hidden is
//! at least one, no hidden number follows.

/// The smallest number that is shown, zero apart.
pub const SMALLEST: u64 = 5;

/// A table of numbers with the sums of its rows and columns: the last column and the last row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    cells: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    number: u64,
    hidden: bool,
}

/// A number as it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Number(u64),
    /// Held back.
    Hidden,
}

/// A row or a column.
#[derive(Debug, Clone, Copy)]
enum Line {
    Row(usize),
    Column(usize),
}

impl Table {
    /// The table of these rows, all of one length, with its sums, and everything held back that has to be.
    pub fn of(rows: &[Vec<u64>]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let mut numbers: Vec<Vec<u64>> = rows.to_vec();
        numbers.push(
            (0..width)
                .map(|column| rows.iter().map(|row| row[column]).sum())
                .collect(),
        );
        for row in &mut numbers {
            row.push(row.iter().sum());
        }
        let cell = |number| Cell {
            number,
            hidden: (1..SMALLEST).contains(&number),
        };
        let mut table = Self {
            cells: numbers
                .into_iter()
                .map(|row| row.into_iter().map(cell).collect())
                .collect(),
        };
        // each pass hides something, so it ends
        loop {
            let following: Vec<(usize, usize)> = table.hidden().filter(|place| table.follows(*place)).collect();
            let mut changed = false;
            for place in following {
                // hiding beside one may have helped another
                changed |= table.follows(place) && table.hide_beside(place);
            }
            if !changed {
                break;
            }
        }
        table
    }

    /// A number; the row behind the last is that of totals, the column behind the last that of sums.
    pub fn at(&self, row: usize, column: usize) -> Shown {
        match self.cells[row][column] {
            Cell { hidden: true, .. } => Shown::Hidden,
            Cell { number, .. } => Shown::Number(number),
        }
    }

    fn height(&self) -> usize {
        self.cells.len()
    }

    fn width(&self) -> usize {
        self.cells.first().map_or(0, Vec::len)
    }

    fn hidden(&self) -> impl Iterator<Item = (usize, usize)> {
        let places = (0..self.height()).flat_map(|row| (0..self.width()).map(move |column| (row, column)));
        places.filter(|(row, column)| self.cells[*row][*column].hidden)
    }

    /// Whether a hidden number follows from what is shown.
    ///
    /// A table that adds up is a flow: what a sum gives to its row flows through the row's cells into their columns, from
    /// there into the totals, and back. Whatever is hidden can carry more, and less as long as one is left. The number at
    /// `place` can be another exactly if a change of it can flow back by other hidden cells.
    fn follows(&self, place: (usize, usize)) -> bool {
        let (from, to) = self.nodes(place);
        let more = self.flows(to, from, place);
        let less = self.cells[place.0][place.1].number > 1 && self.flows(from, to, place);
        !more && !less
    }

    /// Between which two nodes the cell at `place` lies: rows, the sums among them, come first, then columns. A sum lies
    /// between the node of all sums and its row, a total between its column and the node of all totals.
    fn nodes(&self, (row, column): (usize, usize)) -> (usize, usize) {
        let (totals, sums) = (self.height() - 1, self.width() - 1);
        let (row_node, column_node) = (row, self.height() + column);
        match (row == totals, column == sums) {
            (false, false) => (row_node, column_node),
            (false, true) => (column_node, row_node),
            (true, false) => (column_node, row_node),
            (true, true) => (row_node, column_node),
        }
    }

    /// Whether one more can flow from a node to another without the cell at `without`.
    fn flows(&self, from: usize, to: usize, without: (usize, usize)) -> bool {
        let mut reached = vec![false; self.height() + self.width()];
        reached[from] = true;
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            if node == to {
                return true;
            }
            for place in self.beside(node) {
                let cell = self.cells[place.0][place.1];
                if !cell.hidden || place == without {
                    continue;
                }
                let (begin, end) = self.nodes(place);
                let other = if begin == node { end } else { begin };
                let passes = begin == node || cell.number > 1;
                if passes && !reached[other] {
                    reached[other] = true;
                    next.push(other);
                }
            }
        }
        false
    }

    /// The places of the cells at a node.
    fn beside(&self, node: usize) -> Vec<(usize, usize)> {
        match node.checked_sub(self.height()) {
            None => self.places(Line::Row(node)),
            Some(column) => self.places(Line::Column(column)),
        }
    }

    /// The places of a line, the sum last.
    fn places(&self, line: Line) -> Vec<(usize, usize)> {
        match line {
            Line::Row(row) => (0..self.width()).map(|column| (row, column)).collect(),
            Line::Column(column) => (0..self.height()).map(|row| (row, column)).collect(),
        }
    }

    /// Hides the smallest number that is shown in the row or the column of a place, a sum only where there is nothing
    /// else. Whether there was any.
    fn hide_beside(&mut self, (row, column): (usize, usize)) -> bool {
        let (sums, totals) = (self.width() - 1, self.height() - 1);
        let beside = [Line::Row(row), Line::Column(column)]
            .into_iter()
            .flat_map(|line| self.places(line))
            .filter(|(row, column)| {
                let cell = self.cells[*row][*column];
                !cell.hidden && cell.number > 0
            })
            .min_by_key(|(row, column)| (*column == sums || *row == totals, self.cells[*row][*column].number));
        let Some((row, column)) = beside else { return false };
        self.cells[row][column].hidden = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &Table) -> Vec<Vec<Option<u64>>> {
        let show = |row, column| match table.at(row, column) {
            Shown::Number(number) => Some(number),
            Shown::Hidden => None,
        };
        (0..table.height())
            .map(|row| (0..table.width()).map(|column| show(row, column)).collect())
            .collect()
    }

    #[test]
    fn nothing_is_hidden_where_nothing_is_small() {
        let table = Table::of(&[vec![10, 0], vec![5, 20]]);
        assert_eq!(
            shown(&table),
            [
                [Some(10), Some(0), Some(10)],
                [Some(5), Some(20), Some(25)],
                [Some(15), Some(20), Some(35)]
            ]
        );
    }

    #[test]
    fn one_small_number_is_not_the_difference_of_what_is_shown() {
        let table = Table::of(&[vec![90, 3, 7], vec![50, 20, 30]]);
        assert_eq!(table.at(0, 1), Shown::Hidden);
        // the smallest beside it, and the two below, so that neither row nor column gives any of them away
        let hidden: usize = shown(&table).iter().flatten().filter(|cell| cell.is_none()).count();
        assert_eq!(hidden, 4, "{:?}", shown(&table));
    }

    /// Every table that looks the same, found by trying: no hidden number is the same in all of them.
    #[test]
    fn no_hidden_number_can_be_worked_out() {
        for numbers in (0..3_u64.pow(8)).step_by(7) {
            let digit = |place: u32| [0, 2, 6][(numbers / 3_u64.pow(place) % 3) as usize] + u64::from(place % 2);
            let rows: Vec<Vec<u64>> = (0..2)
                .map(|row| (0..2).map(|column| digit(row * 2 + column)).collect())
                .collect();
            let table = Table::of(&rows);
            let seen = shown(&table);
            for (row, line) in seen.iter().enumerate() {
                for (column, cell) in line.iter().enumerate() {
                    let number = if row < 2 && column < 2 {
                        rows[row][column]
                    } else {
                        continue;
                    };
                    assert!(*cell == Some(number) || cell.is_none());
                    assert!(cell.is_none() || number == 0 || number >= SMALLEST, "{rows:?}");
                    if cell.is_none() {
                        assert!(
                            could_be_another(&table, row, column, number),
                            "{rows:?} {seen:?} at {row} {column}"
                        );
                    }
                }
            }
        }
    }

    /// Whether some table of two by two that shows the same has another number at this place.
    fn could_be_another(table: &Table, row: usize, column: usize, number: u64) -> bool {
        const MOST: u64 = 16;
        let seen = shown(table);
        let choices = |row: usize, column: usize| match seen[row][column] {
            Some(number) => number..=number,
            None => 1..=MOST,
        };
        for a in choices(0, 0) {
            for b in choices(0, 1) {
                for c in choices(1, 0) {
                    for d in choices(1, 1) {
                        let here = [[a, b], [c, d]];
                        let sums = [[a + b, 0], [c + d, 0]];
                        let totals = [a + c, b + d, a + b + c + d];
                        let fits = |place: Option<u64>, number: u64| place.is_none_or(|place| place == number);
                        let all = fits(seen[0][2], sums[0][0])
                            && fits(seen[1][2], sums[1][0])
                            && fits(seen[2][0], totals[0])
                            && fits(seen[2][1], totals[1])
                            && fits(seen[2][2], totals[2]);
                        if all && here[row][column] != number {
                            return true;
                        }
                    }
                }
            }
        }
        false
    }
}
