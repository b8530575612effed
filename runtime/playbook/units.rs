//! The files of a playbook: finding them, reading them, and keeping their text and syntax tree.

mod read;

use super::{
    Diagnostic, Limits, Position, Sources, settings, suggest,
    syntax::{self, Function},
};
use crate::{allowed::Allowed, error::Error};
use read::{bounded, safe, script_text};
use rhai::{AST, ASTNode, Engine, Expr, Stmt};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

/// What stands before the path of an embedded file in messages.
const BUILT_IN: &str = "built-in/";

/// One file.
pub(super) struct Unit {
    /// Its name in messages, and the `source` of everything compiled from it.
    pub id: Arc<str>,
    pub text: Arc<str>,
    pub ast: AST,
    /// Comments and places of the settings that it declares.
    pub places: settings::Places,
    /// Its functions and closures.
    pub functions: Vec<Function>,
    /// Places in `functions`, by name.
    named: BTreeMap<String, Vec<usize>>,
    /// Where each line of the text begins.
    lines: Vec<usize>,
    /// Path and place of each import, by alias.
    pub imports: BTreeMap<String, (String, rhai::Position)>,
    place: Place,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Path on disk.
    File(PathBuf),
    /// Path among the embedded files.
    Embedded(String),
}

/// All files of one playbook.
pub(super) struct Units {
    sources: Arc<Sources>,
    /// The playbook's folder: as the user wrote it, and as the system sees it. None for embedded playbooks.
    folder: Option<(PathBuf, PathBuf)>,
    limits: Limits,
    known: RwLock<BTreeMap<Arc<str>, Arc<Unit>>>,
    /// Texts of files that do not parse, for excerpts.
    texts: RwLock<BTreeMap<Arc<str>, Arc<str>>>,
    files: RwLock<Vec<PathBuf>>,
    /// What imports meant, by importer and path: asking the file system each time would be slow.
    located: RwLock<BTreeMap<(String, String), Arc<str>>>,
}

impl Units {
    /// Finds the playbook at `path`, and with it the folder that imports come from.
    pub fn open(path: &str, sources: Arc<Sources>, limits: Limits) -> Result<(Self, Arc<str>), Diagnostic> {
        let mut units = Self {
            sources,
            folder: None,
            limits,
            known: RwLock::default(),
            texts: RwLock::default(),
            files: RwLock::default(),
            located: RwLock::default(),
        };
        let place = units.main(path)?;
        let id = Self::id(&place);
        units.read(&id, &place)?;
        Ok((units, id))
    }

    fn main(&mut self, path: &str) -> Result<Place, Diagnostic> {
        if path.is_empty() || path.contains('\0') {
            return Err(Diagnostic::usage("no playbook is named").hint("name a file: `playbooks/aws.rhai`"));
        }
        let candidates = [PathBuf::from(path), PathBuf::from(format!("{path}.rhai"))];
        if let Some(file) = candidates.into_iter().find(|file| file.is_file()) {
            let parent = file.parent().unwrap_or(Path::new("")).to_owned();
            let real = if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.clone() };
            let real = real
                .canonicalize()
                .map_err(|why| Diagnostic::usage(format!("cannot read playbook `{path}`")).because(why.to_string()))?;
            self.folder = Some((parent, real));
            return Ok(Place::File(file));
        }
        if Path::new(path).is_dir() {
            return Err(Diagnostic::usage(format!("`{path}` is a folder")).hint("name the playbook in it"));
        }
        let key = path.trim_start_matches("./").trim_end_matches(".rhai");
        if self.sources.get(key).is_some() {
            return Ok(Place::Embedded(key.to_owned()));
        }
        let known = self.sources.iter().map(|(key, _)| key).filter(|key| key.starts_with("playbooks/"));
        let hint = suggest::hint(key, known);
        Err(Diagnostic::usage(format!("there is no playbook `{path}`")).hint(hint))
    }

    fn id(place: &Place) -> Arc<str> {
        match place {
            Place::Embedded(key) => format!("{BUILT_IN}{key}.rhai").into(),
            Place::File(path) => path.display().to_string().into(),
        }
    }

    /// The id of what `import "path"` in the unit `importer` means: a file of the user's, then a neighbour of an embedded
    /// importer, then an embedded file.
    pub fn locate(&self, importer: &str, path: &str) -> Result<Arc<str>, Diagnostic> {
        let key = (importer.to_owned(), path.to_owned());
        if let Some(known) = self.located.read().ok().and_then(|located| located.get(&key).cloned()) {
            return Ok(known);
        }
        let found = self.search(importer, path)?;
        if let Ok(mut located) = self.located.write() {
            located.insert(key, found.clone());
        }
        Ok(found)
    }

    fn search(&self, importer: &str, path: &str) -> Result<Arc<str>, Diagnostic> {
        let relative = safe(path)?;
        let importer = self.known.read().ok().and_then(|units| units.get(importer).cloned());
        let from = importer.map(|unit| unit.place.clone());
        if let Some(place) = self.in_folder(&relative, path)?.filter(|place| Some(place) != from.as_ref()) {
            let id = Self::id(&place);
            self.read(&id, &place)?;
            return Ok(id);
        }
        let neighbour = match &from {
            Some(Place::Embedded(key)) => key.rsplit_once('/').map(|(folder, _)| format!("{folder}/{relative}")),
            _ => None,
        };
        let found = neighbour.into_iter().chain([relative.clone()]).find(|key| self.sources.get(key).is_some());
        let Some(key) = found else {
            let hint = suggest::hint(&relative, self.sources.iter().map(|(key, _)| key));
            let missing = Diagnostic::usage(format!("there is no file `{relative}.rhai` to import"));
            let looked = match &self.folder {
                Some((folder, _)) if !folder.as_os_str().is_empty() => format!("`{}` and", folder.display()),
                Some(_) => "the playbook's folder and".into(),
                None => String::new(),
            };
            return Err(missing
                .because(format!("looked in {looked} the built-in files").replace("in  the", "in the"))
                .hint(hint));
        };
        let place = Place::Embedded(key);
        let id = Self::id(&place);
        self.read(&id, &place)?;
        Ok(id)
    }

    /// The user's file at `relative`, if there is one; an error when a link leads out of the folder.
    fn in_folder(&self, relative: &str, path: &str) -> Result<Option<Place>, Diagnostic> {
        let Some((shown, real)) = &self.folder else { return Ok(None) };
        let name = format!("{relative}.rhai");
        let Ok(target) = real.join(&name).canonicalize() else { return Ok(None) };
        if !target.starts_with(real) {
            let wrong = Diagnostic::usage(format!("`{path}` lies outside the playbook's folder"));
            return Err(wrong
                .because(format!("it leads to `{}`", target.display()))
                .hint("copy the file into the folder"));
        }
        Ok(Some(Place::File(shown.join(name))))
    }

    /// Where `read_file(path)` may read: inside the playbook's folder, or in one of `allowed`.
    pub fn data_file(&self, path: &str, allowed: &Allowed) -> Result<Vec<u8>, Error> {
        let (Some((_, folder)), Some(wanted)) = (&self.folder, self.data_path(path)) else {
            return Err(
                Error::usage(format!("cannot read `{path}`")).because("a built-in playbook has no folder to read from")
            );
        };
        // What is not there may come, and a link may lead elsewhere.
        self.remember_file(&wanted);
        let target = allowed.check_read(folder, path)?;
        let refused = |why: String| Error::usage(format!("cannot read `{path}`")).because(why);
        let bytes = bounded(&target, self.limits.file_bytes).map_err(refused)?;
        self.remember_file(&target);
        Ok(bytes)
    }

    /// Where a file that scripts call `path` lies.
    pub fn data_path(&self, path: &str) -> Option<PathBuf> {
        if Path::new(path).is_absolute() {
            return Some(PathBuf::from(path));
        }
        self.folder.as_ref().map(|(_, real)| real.join(path))
    }

    fn read(&self, id: &Arc<str>, place: &Place) -> Result<(), Diagnostic> {
        if self.text(id).is_some() {
            return Ok(());
        }
        let text: Arc<str> = match place {
            Place::Embedded(key) => {
                // A file of this name would win.
                if let Some((_, real)) = &self.folder {
                    self.remember_file(&real.join(format!("{key}.rhai")));
                }
                self.sources.get(key).unwrap_or_default()
            }
            Place::File(path) => {
                self.remember_file(path);
                let refused = |why: String| Diagnostic::usage(format!("cannot read `{id}`")).because(why);
                script_text(&bounded(path, self.limits.file_bytes).map_err(refused)?).map_err(refused)?
            }
        };
        if let Ok(mut texts) = self.texts.write() {
            texts.insert(id.clone(), text);
        }
        let mut pending = self.known.write().map_err(|_| Diagnostic::usage("reading stopped"))?;
        if pending.len() > self.limits.modules {
            let wrong = Diagnostic::usage(format!("the playbook imports more than {} files", self.limits.modules));
            return Err(wrong);
        }
        // Its place is needed before it is compiled, to find what it imports.
        let blank = Unit {
            id: id.clone(),
            text: "".into(),
            ast: AST::empty(),
            places: settings::Places::new(),
            functions: Vec::new(),
            named: BTreeMap::new(),
            lines: Vec::new(),
            imports: BTreeMap::new(),
            place: place.clone(),
        };
        pending.insert(id.clone(), Arc::new(blank));
        Ok(())
    }

    /// The syntax tree of the unit called `id`, which [`Units::locate`] or [`Units::open`] gave.
    pub fn compile(&self, engine: &Engine, id: &Arc<str>) -> Result<Arc<Unit>, Diagnostic> {
        let known = self.get(id).ok_or_else(|| Diagnostic::usage(format!("there is no file `{id}`")))?;
        if !known.text.is_empty() {
            return Ok(known);
        }
        let text = self.text(id).unwrap_or_default();
        if text.trim().is_empty() {
            return Err(Diagnostic::usage(format!("`{id}` is empty"))
                .hint("a playbook declares steps: `step(\"name\", || …);`"));
        }
        let mut ast = engine.compile(&*text).map_err(|mistake| super::explain::syntax(&mistake, id, &text))?;
        ast.set_source(id.as_ref());
        let places = settings::places(&ast, &text);
        let functions = syntax::functions(&ast);
        let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, function) in functions.iter().enumerate() {
            named.entry(function.name.clone()).or_default().push(number);
        }
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let imports = imports(&ast);
        let unit = Arc::new(Unit {
            id: id.clone(),
            text,
            ast,
            places,
            functions,
            named,
            lines,
            imports,
            place: known.place.clone(),
        });
        if let Ok(mut units) = self.known.write() {
            units.insert(id.clone(), unit.clone());
        }
        Ok(unit)
    }

    /// The unit called `id`.
    pub fn get(&self, id: &str) -> Option<Arc<Unit>> {
        self.known.read().ok()?.get(id).cloned()
    }

    /// All units.
    pub fn all(&self) -> Vec<Arc<Unit>> {
        self.known.read().map(|units| units.values().cloned().collect()).unwrap_or_default()
    }

    /// The text of the file called `id`, even when it does not parse.
    pub fn text(&self, id: &str) -> Option<Arc<str>> {
        self.texts.read().ok()?.get(id).cloned()
    }

    /// All files of the user that were read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.read().map(|files| files.clone()).unwrap_or_default()
    }

    /// A place in the unit called `id`.
    pub fn position(id: &str, position: rhai::Position) -> Position {
        Position::new(id, position.line().unwrap_or(0), position.position().unwrap_or(0))
    }

    /// A diagnostic at a place in the unit called `id`.
    pub fn at(&self, found: Diagnostic, id: &str, position: rhai::Position) -> Diagnostic {
        found.at(Self::position(id, position), self.text(id))
    }

    /// The function called `name`, with `arity` parameters where that is known: in `unit`, and closures in any unit. The
    /// number is its place in [`Unit::functions`].
    pub fn function(&self, unit: &str, name: &str, arity: Option<usize>) -> Option<(Arc<Unit>, usize)> {
        let look = |unit: Arc<Unit>| {
            let fits = |number: &usize| arity.is_none_or(|n| unit.functions[*number].params.len() == n);
            let number = unit.named.get(name)?.iter().copied().find(fits)?;
            Some((unit, number))
        };
        let here = self.get(unit).and_then(look);
        if here.is_some() || !name.starts_with("anon$") {
            return here;
        }
        self.all().into_iter().find_map(look)
    }

    /// The unit that `alias` stands for in `unit`.
    pub fn imported(&self, unit: &Unit, alias: &str) -> Option<Arc<Unit>> {
        self.get(&self.locate(&unit.id, &unit.imports.get(alias)?.0).ok()?)
    }

    fn remember_file(&self, path: &Path) {
        if let Ok(mut files) = self.files.write()
            && !files.iter().any(|known| known == path)
        {
            files.push(path.to_owned());
        }
    }
}

impl Unit {
    /// The functions called `name`.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Function> {
        self.named.get(name).into_iter().flatten().map(|&number| &self.functions[number])
    }

    /// The place in `functions` of one called `name`.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.named.get(name)?.first().copied()
    }

    /// The comment lines directly above `line` (from 1), without slashes.
    pub fn comment_above(&self, line: usize) -> String {
        let above = (1..line).rev().map_while(|above| {
            let (start, end) = (*self.lines.get(above - 1)?, *self.lines.get(above)?);
            syntax::plain_comment(self.text.get(start..end)?)
        });
        let mut above: Vec<&str> = above.collect();
        above.reverse();
        above.join("\n").trim().to_owned()
    }
}

/// Path and place of each import, by alias.
fn imports(ast: &AST) -> BTreeMap<String, (String, rhai::Position)> {
    let mut imports = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, position))) = path.last()
            && let Expr::StringConstant(target, _) = &import.0
        {
            imports.insert(import.1.name.to_string(), (target.to_string(), *position));
        }
        true
    });
    imports
}
