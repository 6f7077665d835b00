;; A plugin that returns its input: what the host hands over as `state` is what it takes back as the result, byte by byte. Its component is
;; that of a built-in plugin with this module in the place of the plugin's own.
(module
  (memory (export "memory") 1)
  ;; Where the next allocation goes. The first is the state: at 1024.
  (global $next (mut i32) (i32.const 1024))

  ;; Memory for what the host hands over, at a multiple of 8. It traps if there is none left.
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32) (local $pages i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.set $pages (i32.sub (i32.add (i32.shr_u (global.get $next) (i32.const 16)) (i32.const 1)) (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable))))
    (local.get $at))

  ;; Before the first allocation there are zeros: no name, no model; an answer without content.
  (func (export "understudy:plugin/provider@0.1.0#describe") (result i32) (i32.const 512))
  (func (export "understudy:plugin/provider@0.1.0#start") (param i32) (result i32) (i32.const 512))

  ;; The state, or what stands behind it: the status says how far.
  (func (export "understudy:plugin/provider@0.1.0#resume")
    (param $state i32) (param i32) (param $status i32) (param i32 i32 i32 i32 i32 i32) (result i32)
    (i32.add (local.get $state) (local.get $status)))
  (func (export "understudy:plugin/streaming@0.1.0#next") (param $state i32) (param i32 i32 i32) (result i32)
    (local.get $state))

  (func (export "cabi_post_understudy:plugin/provider@0.1.0#describe") (param i32))
  (func (export "cabi_post_understudy:plugin/provider@0.1.0#start") (param i32))
  (func (export "cabi_post_understudy:plugin/provider@0.1.0#resume") (param i32))
  (func (export "cabi_post_understudy:plugin/streaming@0.1.0#next") (param i32)))
