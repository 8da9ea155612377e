#![allow(warnings)]
#[path = "../../daemon/src/keys.rs"] mod keys;
mod rows;
use rpmacct_config::*;
const PRINT: &[&Key] = &[&rows::OUTPUT,&rows::SEPARATOR,&rows::IMT_PATH,&rows::REFRESH,&Key::path("print_output_file").option('o')];
#[test] fn samples(){
  let r=Registry::new(keys::KEYS.iter().copied().chain(PRINT.iter().copied()));
  println!("{}", r.usage());
  let mut ok=0; let mut n=0;
  for dir in ["/work/shared/spec/samples","/work/shared/corpus","/work/main/conf"] {
  for f in walk(dir.as_ref()) {
    if !matches!(f.extension().and_then(|e|e.to_str()),Some("conf"|"yaml")) {continue}
    n+=1;
    match Config::load(&r,Source::file(&f)) { Ok((_,w))=>{ok+=1; for w in w {println!("W {w}")}}, Err(e)=>for e in e {println!("E {e}")} }
  }}
  println!("{ok}/{n}");
}
fn walk(d:&std::path::Path)->Vec<std::path::PathBuf>{ let mut v=vec![]; for e in std::fs::read_dir(d).unwrap(){let p=e.unwrap().path(); if p.is_dir(){v.extend(walk(&p))}else{v.push(p)}} v}
#[test] fn fuzz(){
  let r=rows::registry();
  let seeds:Vec<Vec<u8>>=walk("tests/data".as_ref()).iter().map(|p|std::fs::read(p).unwrap()).collect();
  let mut x=88172645463325252u64; let mut rnd=||{x^=x<<13;x^=x>>7;x^=x<<17;x};
  let alphabet=b"[]{}:,!#\n \t-&*<>|'\"\\?%@`~.=0aA\xff\xc3\xa4\r\0";
  for i in 0..60000 { let mut t=seeds[rnd() as usize%seeds.len()].clone();
    for _ in 0..(1+rnd()%6) { if t.is_empty(){break} let at=rnd() as usize%t.len(); match rnd()%3 {0=>{t.remove(at);},1=>t.insert(at,alphabet[rnd() as usize%alphabet.len()]),_=>t[at]=alphabet[rnd() as usize%alphabet.len()]} }
    for n in ["a.conf","a.yaml"] { match Config::load(&r,Source::text(n,&t)) {Ok((c,w))=>{for w in &w {w.to_string();} c.core().settings(); for p in c.plugins(){c.plugin(&p.name).settings();}},Err(e)=>{assert!(!e.is_empty());for e in e{e.to_string();}}} } }
}
