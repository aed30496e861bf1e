# SPDX-License-Identifier: MIT
"""Conan 2, from a clone: conan create packaging/conan. The core, static or shared; libjdb_uring by -o jdb_alloc/*:with_uring=True."""
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir


class JdbAlloc(ConanFile):
    name = "jdb_alloc"
    description = "Memory for Direct I/O"
    license = "MIT"
    topics = ("direct-io", "o-direct", "io-uring", "buffers")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "with_uring": [True, False]}
    default_options = {"shared": False, "fPIC": True, "with_uring": False}

    @property
    def _tree(self):
        return Path(self.recipe_folder).parent.parent

    def set_version(self):
        base = (self._tree / "include/jdb_alloc/base.h").read_text(encoding="utf-8")
        self.version = re.search(r'JDB_VERSION_STRING "([^"]+)"', base).group(1)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "src/*", "cmake/*", "man/*", "CHANGELOG.md"):
            copy(self, pattern, self._tree, self.export_sources_folder)

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")
        for name in ("cppstd", "libcxx"):  # the libraries are C: one package for all of them
            self.settings.rm_safe(f"compiler.{name}")

    def requirements(self):
        if self.options.with_uring:
            self.requires("liburing/[>=2.3]", transitive_headers=True)

    def build_requirements(self):
        if self.options.with_uring:
            self.tool_requires("pkgconf/[>=2.0]")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["JDB_BUILD_URING"] = bool(self.options.with_uring)
        toolchain.cache_variables["JDB_BUILD_TOOL"] = False
        toolchain.cache_variables["JDB_BUILD_TESTS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, Path(self.package_folder) / "licenses")
        for folder in ("lib/cmake", "lib/pkgconfig", "share"):  # Conan makes its own
            rmdir(self, Path(self.package_folder) / folder)
        unwanted = "*.a" if self.options.shared else "*.so*"
        for path in (Path(self.package_folder) / "lib").glob(unwanted):
            path.unlink()

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "jdb_alloc")
        core = self.cpp_info.components["core"]
        core.set_property("cmake_target_name", "jdb_alloc::jdb_alloc")
        core.set_property("pkg_config_name", "jdb_alloc")
        core.libs = ["jdb_alloc"]
        core.system_libs = ["pthread"]
        if self.options.with_uring:
            uring = self.cpp_info.components["uring"]
            uring.set_property("cmake_target_name", "jdb_alloc::uring")
            uring.set_property("pkg_config_name", "jdb_uring")
            uring.libs = ["jdb_uring"]
            uring.requires = ["core", "liburing::liburing"]
