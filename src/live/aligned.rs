//! The functions that ld.so calls, on i386: there a program may keep its stack aligned to four bytes (the ABI before SSE), and ld.so
//! hands on what it gets, while our code counts on sixteen. So the stack is aligned first.

#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::entry;

/// Defines functions of up to three words that align the stack, and go on to those of the same name in `entry`.
macro_rules! aligned {
    ($($name:ident)*) => {$(
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            // The arguments are copied, as many as there may be; what is behind fewer belongs to the caller and is on the stack, too.
            naked_asm!(
                "push ebp",
                "mov ebp, esp",
                "and esp, -16",
                "sub esp, 4",
                "push dword ptr [ebp + 16]",
                "push dword ptr [ebp + 12]",
                "push dword ptr [ebp + 8]",
                "call {inner}",
                "mov esp, ebp",
                "pop ebp",
                "ret",
                inner = sym entry::$name,
            )
        }
    )*};
}

aligned!(la_version la_activity la_objopen la_objsearch la_objclose);
