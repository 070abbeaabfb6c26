//! Formulas in text, as the BPX standard has them.

use crate::error::ParameterError;

/// How many operands a formula may keep waiting at once: far above any real formula's need.
const STACK: usize = 64;
/// How deep parentheses, calls, signs and powers may nest, so that no text exhausts the stack of the parser.
const NESTING: usize = 64;

/// A formula in `x`, and in the temperature `T` in K where it needs it.
///
/// The language is that of BPX 1.x (which is Python's): numbers (`2`, `0.5`, `1e-3`), `x`, `+ - * / **`, signs,
/// parentheses, and the functions `exp`, `tanh` and `cosh`. Beyond BPX it knows `T`, and the functions `sinh`, `sqrt`, `log`
/// (natural) and `abs`. As in Python `**` binds before a sign to its left and groups from the right: `-x ** 2` is
/// `-(x ** 2)`, `2 ** 3 ** 2` is 512.
///
/// It is read once, into a list of steps that a small stack works off: evaluating takes no memory.
///
/// ```
/// use cell_models::physics::Expression;
/// let ocp = Expression::parse("0.2482 + 1.9793 * exp(-39.3631 * x) - x ** 2 / 2")?;
/// assert!((ocp.at(0.5, 298.15) - 0.1232).abs() < 1e-6);
/// assert!(Expression::parse("2 * (x + 1").is_err());
/// # Ok::<(), cell_models::ParameterError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    program: Vec<Op>,
}

/// A step: puts a value on the stack, or replaces the topmost one or two by a result.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Number(f64),
    X,
    Temperature,
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    /// Power with a small whole exponent.
    PowerBy(i32),
    Call(Call),
}

/// A function of one argument.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    Exp,
    Tanh,
    Cosh,
    Sinh,
    Sqrt,
    Log,
    Abs,
}

impl Call {
    const BY_NAME: [(&str, Self); 7] = [
        ("exp", Self::Exp),
        ("tanh", Self::Tanh),
        ("cosh", Self::Cosh),
        ("sinh", Self::Sinh),
        ("sqrt", Self::Sqrt),
        ("log", Self::Log),
        ("abs", Self::Abs),
    ];

    fn of(self, v: f64) -> f64 {
        match self {
            Self::Exp => v.exp(),
            Self::Tanh => v.tanh(),
            Self::Cosh => v.cosh(),
            Self::Sinh => v.sinh(),
            Self::Sqrt => v.sqrt(),
            Self::Log => v.ln(),
            Self::Abs => v.abs(),
        }
    }
}

impl Expression {
    /// Reads a formula.
    ///
    /// # Errors
    /// [`ParameterError::Formula`] when the text is no formula, or one that nests deeper than 64 levels; it says where.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        let mut parser = Parser { text, at: 0, nesting: 0, waiting: 0, program: Vec::new() };
        parser.sum()?;
        match parser.peek() {
            None => Ok(Self { text: text.into(), program: parser.program }),
            Some(_) => Err(parser.error("expected an operator or the end")),
        }
    }

    /// The formula as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `T` appears in it.
    pub fn uses_temperature(&self) -> bool {
        self.program.contains(&Op::Temperature)
    }

    /// Whether it keeps to what BPX files may hold: no `T`, no functions but `exp`, `tanh` and `cosh`.
    pub fn is_bpx(&self) -> bool {
        let foreign = |op: &Op| {
            matches!(op, Op::Temperature | Op::Call(Call::Sinh | Call::Sqrt | Call::Log | Call::Abs))
        };
        !self.program.iter().any(foreign)
    }

    /// Its value at `x` and `t_kelvin`. Where Python would raise an error it is infinite (a division by zero, an
    /// overflow) or not a number (the root or logarithm of a negative number).
    pub fn at(&self, x: f64, t_kelvin: f64) -> f64 {
        let mut stack = [0.0_f64; STACK];
        let mut len = 0;
        for &op in &self.program {
            let value = match op {
                Op::Number(v) => v,
                Op::X => x,
                Op::Temperature => t_kelvin,
                Op::Negate | Op::PowerBy(_) | Op::Call(_) => {
                    len -= 1;
                    let v = stack[len];
                    match op {
                        Op::PowerBy(n) => v.powi(n),
                        Op::Call(f) => f.of(v),
                        _ => -v,
                    }
                }
                Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Power => {
                    len -= 2;
                    let (a, b) = (stack[len], stack[len + 1]);
                    match op {
                        Op::Add => a + b,
                        Op::Subtract => a - b,
                        Op::Multiply => a * b,
                        Op::Divide => a / b,
                        _ => a.powf(b),
                    }
                }
            };
            stack[len] = value;
            len += 1;
        }
        stack[0]
    }
}

/// Recursive descent over the bytes of a text; writes the program as it goes.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    nesting: usize,
    /// Operands on the stack at this point of the program.
    waiting: usize,
    program: Vec<Op>,
}

impl Parser<'_> {
    /// `product (("+" | "-") product)*`
    fn sum(&mut self) -> Result<(), ParameterError> {
        self.product()?;
        loop {
            let op = match self.peek() {
                Some(b'+') => Op::Add,
                Some(b'-') => Op::Subtract,
                _ => return Ok(()),
            };
            self.at += 1;
            self.product()?;
            self.push(op)?;
        }
    }

    /// `signed (("*" | "/") signed)*`
    fn product(&mut self) -> Result<(), ParameterError> {
        self.signed()?;
        loop {
            let op = match self.peek() {
                Some(b'*') => Op::Multiply,
                Some(b'/') => Op::Divide,
                _ => return Ok(()),
            };
            self.at += 1;
            self.signed()?;
            self.push(op)?;
        }
    }

    /// `("+" | "-") signed | atom ("**" signed)?`
    fn signed(&mut self) -> Result<(), ParameterError> {
        self.nested(|p| match p.peek() {
            Some(b'-') => {
                p.at += 1;
                p.signed()?;
                p.push(Op::Negate)
            }
            Some(b'+') => {
                p.at += 1;
                p.signed()
            }
            _ => {
                p.atom()?;
                if p.peek() == Some(b'*') && p.text[p.at..].starts_with("**") {
                    p.at += 2;
                    let exponent = p.program.len();
                    p.signed()?;
                    p.push_power(exponent)?;
                }
                Ok(())
            }
        })
    }

    /// A number, `x`, `T`, a sum in parentheses or a call.
    fn atom(&mut self) -> Result<(), ParameterError> {
        match self.peek() {
            Some(b'(') => {
                self.at += 1;
                self.sum()?;
                self.close()
            }
            Some(c) if c.is_ascii_digit() || c == b'.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => {
                let start = self.at;
                self.skip_while(|c| c.is_ascii_alphanumeric() || c == b'_');
                let name = &self.text[start..self.at];
                match (name, Call::BY_NAME.iter().find(|(known, _)| *known == name)) {
                    ("x", _) => self.push(Op::X),
                    ("T", _) => self.push(Op::Temperature),
                    (_, Some(&(_, call))) => {
                        if self.peek() != Some(b'(') {
                            return Err(self.error("expected ( after the name of a function"));
                        }
                        self.at += 1;
                        self.sum()?;
                        self.close()?;
                        self.push(Op::Call(call))
                    }
                    _ => {
                        self.at = start;
                        Err(self
                            .error("unknown name; known are x, T, exp, tanh, cosh, sinh, sqrt, log and abs"))
                    }
                }
            }
            _ => Err(self.error("expected a number, x, T, a function or (")),
        }
    }

    fn number(&mut self) -> Result<(), ParameterError> {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_digit() || c == b'.');
        if matches!(self.byte(self.at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(self.at + 1), Some(b'+' | b'-')));
            self.at += 1 + sign;
            self.skip_while(|c| c.is_ascii_digit());
        }
        match self.text[start..self.at].parse::<f64>() {
            Ok(v) if v.is_finite() => self.push(Op::Number(v)),
            _ => {
                self.at = start;
                Err(self.error("not a finite number"))
            }
        }
    }

    fn close(&mut self) -> Result<(), ParameterError> {
        if self.peek() != Some(b')') {
            return Err(self.error("expected ) or an operator"));
        }
        self.at += 1;
        Ok(())
    }

    /// `exponent`: where in the program the exponent begins.
    fn push_power(&mut self, exponent: usize) -> Result<(), ParameterError> {
        if let [Op::Number(v)] = self.program[exponent..]
            && v.fract() == 0.0
            && v.abs() <= 64.0
        {
            self.program.truncate(exponent);
            self.waiting -= 1;
            return self.push(Op::PowerBy(v as i32));
        }
        self.push(Op::Power)
    }

    fn push(&mut self, op: Op) -> Result<(), ParameterError> {
        match op {
            Op::Number(_) | Op::X | Op::Temperature => self.waiting += 1,
            Op::Negate | Op::PowerBy(_) | Op::Call(_) => {}
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Power => self.waiting -= 1,
        }
        if self.waiting > STACK {
            return Err(self.error("too deeply nested"));
        }
        match (op, self.program.last_mut()) {
            // A sign directly behind a number belongs to it: `-` of any longer operand has another step in between.
            (Op::Negate, Some(Op::Number(v))) => *v = -*v,
            _ => self.program.push(op),
        }
        Ok(())
    }

    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<(), ParameterError>,
    ) -> Result<(), ParameterError> {
        if self.nesting >= NESTING {
            return Err(self.error("too deeply nested"));
        }
        self.nesting += 1;
        inner(self)?;
        self.nesting -= 1;
        Ok(())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The next byte that is no white space; moves there.
    fn peek(&mut self) -> Option<u8> {
        self.skip_while(|c| c.is_ascii_whitespace());
        self.byte(self.at)
    }

    fn skip_while(&mut self, ok: impl Fn(u8) -> bool) {
        while self.byte(self.at).is_some_and(&ok) {
            self.at += 1;
        }
    }

    fn error(&self, problem: &'static str) -> ParameterError {
        let near: String = self.text.get(self.at..).unwrap_or("").chars().take(20).collect();
        ParameterError::Formula { position: self.at + 1, near, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, x: f64) -> f64 {
        Expression::parse(text).unwrap().at(x, 300.0)
    }

    #[test]
    fn follows_python_in_precedence() {
        // What Python 3.11 prints for each at x = 3.
        for (text, expected) in [
            ("-x ** 2", -9.0),
            ("2 ** 3 ** 2", 512.0),
            ("2 ** -1", 0.5),
            ("2 ** -x ** 2", 2f64.powi(-9)),
            ("(-x) ** 2", 9.0),
            ("--x", 3.0),
            ("1 - -+-2", -1.0),
            ("8 / 4 / 2", 1.0),
            ("8 - 4 - 2", 2.0),
            ("2 * -3 + 1", -5.0),
            ("-2 ** 2", -4.0),
            ("x ** 0.5 * 2", 2.0 * 3f64.sqrt()),
            ("x**-2", 1.0 / 9.0),
            ("1.5e-3*x + 1.E+2 + .5", 100.5045),
            (" exp ( 0 ) + tanh(0) + cosh(0) + sinh(0) + sqrt(x + 1) + log(1) + abs(-x) ", 7.0),
        ] {
            assert!((value(text, 3.0) - expected).abs() < 1e-13, "{text} gives {}", value(text, 3.0));
        }
        assert_eq!(value("T - 273.15", 0.0), 300.0 - 273.15);
        assert_eq!(value("1 / x", 0.0), f64::INFINITY);
        assert!(value("log(x)", -1.0).is_nan());
    }

    #[test]
    fn says_where_a_text_is_no_formula() {
        for (text, position) in [
            ("", 1),
            ("2 +", 4),
            ("2 x", 3),
            ("(x", 3),
            ("x)", 2),
            ("1e", 1),
            ("1e999", 1),
            ("1.2.3", 1),
            ("3 * foo(x)", 5),
            ("exp x", 5),
            ("exp(x, 2)", 6),
            ("x ^ 2", 3),
            ("x * * 2", 5),
            ("__import__('os')", 1),
            ("2 * é", 5),
            ("x2", 1),
        ] {
            match Expression::parse(text) {
                Err(ParameterError::Formula { position: p, .. }) => assert_eq!(p, position, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let message = Expression::parse("1 + y").unwrap_err().to_string();
        assert!(message.starts_with("formula refused at character 5 (\"y\"): unknown name"), "{message}");
    }

    #[test]
    fn hostile_nesting_is_refused() {
        for unit in ["(", "-", "exp(", "2 ** ", "x + (", "1 * (1 + "] {
            let text = unit.repeat(100_000) + "1";
            assert!(matches!(
                Expression::parse(&text),
                Err(ParameterError::Formula { problem: "too deeply nested", .. })
            ));
        }
        // What is long but flat is fine; what nests to the limit does not overrun the stack.
        assert_eq!(value(&("x".to_string() + &" + x * 1".repeat(50_000)), 1.0), 50_001.0);
        let nested = "1 + x * (".repeat(31) + "1" + &")".repeat(31);
        assert_eq!(value(&nested, 1.0), 32.0);
        assert!(Expression::parse(&("1 + x * 2 ** (".repeat(31) + "1" + &")".repeat(31))).is_err());
    }

    #[test]
    fn knows_what_bpx_holds() {
        let formula = |text| Expression::parse(text).unwrap();
        assert!(formula("x * exp(-x) + tanh(x) ** 2").is_bpx());
        assert!(!formula("sqrt(x)").is_bpx());
        assert!(!formula("x * T").is_bpx() && formula("x * T").uses_temperature());
    }
}
