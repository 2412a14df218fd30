// The program redact is a tool of an operator's own, in Rust and without any crate: it writes a copy of a text file in
// which no line holds any of the given words. Its arguments come as JSON on stdin; what it writes below /out goes back
// into the session, where its manifest allows that.
use std::collections::HashMap;
use std::io::{self, Read};
use std::{fs, process};

fn main() {
    if let Err(problem) = run() {
        eprintln!("{}", problem);
        process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).map_err(|e| e.to_string())?;
    let arguments = Reader { rest: input.as_str() }.object()?;
    let path = arguments.get("path").and_then(|v| v.first()).ok_or("path is missing")?;
    let words = arguments.get("words").ok_or("words are missing")?;

    let text = fs::read_to_string(path).map_err(|e| format!("{}: {}", path, e))?;
    let (mut kept, mut dropped) = (String::new(), 0);
    for line in text.split_inclusive('\n') {
        if words.iter().any(|w| !w.is_empty() && line.contains(w.as_str())) {
            kept.push_str("[redacted]\n");
            dropped += 1;
        } else {
            kept.push_str(line);
        }
    }
    let name = path.rsplit('/').next().unwrap_or("file");
    fs::create_dir_all("/out/redacted").map_err(|e| e.to_string())?;
    fs::write(format!("/out/redacted/{}", name), kept).map_err(|e| e.to_string())?;
    println!("{} lines redacted", dropped);
    Ok(())
}

// Reader reads as much JSON as the manifest lets through: an object of texts and lists of texts.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn object(&mut self) -> Result<HashMap<String, Vec<String>>, String> {
        let mut found = HashMap::new();
        self.expect('{')?;
        while !self.next_is('}') {
            let name = self.text()?;
            self.expect(':')?;
            let mut values = Vec::new();
            if self.next_is('[') {
                while !self.next_is(']') {
                    values.push(self.text()?);
                    self.next_is(',');
                }
            } else {
                values.push(self.text()?);
            }
            found.insert(name, values);
            self.next_is(',');
        }
        Ok(found)
    }

    // next_is passes over a character if it is the next one.
    fn next_is(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.next_is(wanted) {
            Ok(())
        } else {
            Err(format!("the arguments have no {} where one belongs", wanted))
        }
    }

    fn text(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut out = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('u') => {
                        let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                        let code = u32::from_str_radix(&digits, 16).map_err(|e| e.to_string())?;
                        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    Some(other) => out.push(other),
                    None => break,
                },
                other => out.push(other),
            }
        }
        Err("a text of the arguments does not end".to_string())
    }
}
