//! The order of modules: each uses only what is declared above it, so that a crate can be read from top to bottom.
//!
//! `mod` declarations set the order, in lib.rs and in the file of each module that has others below it. A module may use
//! siblings that are declared above it, and items of its ancestors that stand above its own declaration there. A name that
//! an ancestor re-exports or imports counts as what it stands for.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use syn::{Attribute, File, Item, Macro, Meta, Path, UseTree, visit::Visit};

use super::{error::TidyError, repository::Repository};

/// Finds the uses in a crate of what is declared further below, given the path of its lib.rs.
pub(super) fn circles(repository: &Repository, root: &str) -> Result<Vec<String>, TidyError> {
    let mut modules = BTreeMap::new();
    read(repository, root.to_owned(), Vec::new(), &mut modules)?;
    let krate = Crate { modules };
    Ok(krate.modules.keys().flat_map(|path| krate.circles_of(path)).collect())
}

/// Names from the crate to a module. Empty for the crate itself.
type ModulePath = Vec<String>;

struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

struct Module {
    file: String,
    /// Declared and imported names, each with its position among the file's items.
    names: BTreeMap<String, (usize, Name)>,
    /// Paths that begin with `crate`, `self` or `super`.
    uses: Vec<Vec<String>>,
}

enum Name {
    Module,
    Item,
    /// An import of this path.
    Import(Vec<String>),
}

/// Target of a use: a module, or an item of it with its position.
struct Target<'c> {
    module: &'c [String],
    item: Option<(&'c str, usize)>,
}

fn read(
    repository: &Repository,
    file: String,
    path: ModulePath,
    modules: &mut BTreeMap<ModulePath, Module>,
) -> Result<(), TidyError> {
    let source = repository.text(&file);
    let parsed = syn::parse_file(source).map_err(|cause| TidyError::Rust(file.clone(), cause))?;
    let folder = match file.strip_suffix("/lib.rs").or(file.strip_suffix("/mod.rs")) {
        Some(folder) => folder.to_owned(),
        None => file.trim_end_matches(".rs").to_owned(),
    };
    let mut names = BTreeMap::new();
    for (place, item) in parsed.items.iter().enumerate().filter(|(_, item)| !is_test(attributes(item))) {
        match item {
            Item::Mod(module) if module.content.is_none() => {
                let name = module.ident.to_string();
                let beside = format!("{folder}/{name}.rs");
                let file = if repository.files.contains_key(&beside) {
                    beside
                } else {
                    format!("{folder}/{name}/mod.rs")
                };
                read(repository, file, [&*path, slice::from_ref(&name)].concat(), modules)?;
                names.insert(name, (place, Name::Module));
            }
            Item::Use(import) => {
                leaves(&import.tree, &mut Vec::new(), &mut |name, path| {
                    names.insert(name, (place, Name::Import(path)));
                });
            }
            item => {
                names.extend(ident(item).map(|name| (name, (place, Name::Item))));
            }
        }
    }
    let mut uses = Uses(Vec::new());
    uses.visit_file(&parsed);
    modules.insert(path, Module { file, names, uses: uses.0 });
    Ok(())
}

impl Crate {
    fn circles_of(&self, path: &[String]) -> BTreeSet<String> {
        let Some(module) = self.modules.get(path) else { return BTreeSet::new() };
        let mut circles = BTreeSet::new();
        for used in &module.uses {
            let Some(target) = self.resolve(path, used, 0) else { continue };
            let common = path.iter().zip(target.module).take_while(|(one, other)| one == other).count();
            let (Some(own), Some(parent)) = (path.get(common), self.modules.get(&path[..common])) else {
                continue;
            };
            let place = |name: &str| parent.names.get(name).map(|(place, _)| *place);
            let (name, at) = match (target.module.get(common), target.item) {
                (Some(sibling), _) => (sibling.as_str(), place(sibling)),
                (None, Some((item, at))) => (item, Some(at)),
                (None, None) => continue,
            };
            if at > place(own) {
                let place = [&["crate".to_owned()], &path[..common], &[name.to_owned()]].concat().join("::");
                let sentence =
                    format!("{} uses {place}, which stands below {own} in {}", module.file, parent.file);
                circles.insert(sentence);
            }
        }
        circles
    }

    /// Resolves a path used in a module. Returns `None` if it is unknown or outside of the crate.
    fn resolve<'c>(&'c self, from: &[String], path: &[String], depth: usize) -> Option<Target<'c>> {
        let mut module = from.to_vec();
        let mut rest = match path.first()?.as_str() {
            "crate" => {
                module.clear();
                &path[1..]
            }
            "self" => &path[1..],
            // A name of the file's own, or `super`.
            _ => path,
        };
        loop {
            let (key, here) = self.modules.get_key_value(&module)?;
            let Some((name, after)) = rest.split_first() else {
                return Some(Target { module: key, item: None });
            };
            match name.as_str() {
                "self" => return Some(Target { module: key, item: None }),
                "super" => {
                    module.pop()?;
                }
                name => match here.names.get_key_value(name)? {
                    (_, (_, Name::Module)) => module.push(name.to_owned()),
                    (item, (place, Name::Item)) => {
                        return Some(Target { module: key, item: Some((item, *place)) });
                    }
                    (_, (_, Name::Import(path))) if depth < 8 => {
                        let path = [path, after].concat();
                        return self.resolve(&module, &path, depth + 1);
                    }
                    _ => return None,
                },
            }
            rest = after;
        }
    }
}

/// Paths in a file that name something of the crate, without those in tests.
struct Uses(Vec<Vec<String>>);

impl Uses {
    fn add(&mut self, path: Vec<String>) {
        if path.first().is_some_and(|first| ["crate", "self", "super"].contains(&first.as_str())) {
            self.0.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_file(&mut self, file: &'ast File) {
        file.items.iter().filter(|item| !is_test(attributes(item))).for_each(|item| self.visit_item(item));
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        leaves(&import.tree, &mut Vec::new(), &mut |_, path| self.add(path));
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// Tokens of a macro are not parsed: whatever looks like a path counts as one.
    fn visit_macro(&mut self, call: &'ast Macro) {
        let words = call.tokens.to_string().replace(" :: ", "::").replace(":: ", "::");
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for word in words.split(|c| !is_path(c)) {
            self.add(word.split("::").map(str::to_owned).collect());
        }
        self.visit_path(&call.path);
    }
}

/// Returns the names that an import adds, each with its path.
fn leaves(tree: &UseTree, path: &mut Vec<String>, visit: &mut impl FnMut(String, Vec<String>)) {
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            leaves(&tree.tree, path, visit);
            path.pop();
        }
        UseTree::Name(tree) => {
            let name = tree.ident.to_string();
            let whole = [path.as_slice(), slice::from_ref(&name)].concat();
            let own = if name == "self" { path.last().cloned().unwrap_or(name) } else { name };
            visit(own, whole);
        }
        UseTree::Rename(tree) => {
            visit(tree.rename.to_string(), [path.as_slice(), &[tree.ident.to_string()]].concat());
        }
        UseTree::Group(tree) => tree.items.iter().for_each(|tree| leaves(tree, path, visit)),
        UseTree::Glob(_) => visit("*".to_owned(), path.clone()),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

/// Returns the name of an item.
fn ident(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
